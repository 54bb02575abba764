// Slices of exact floats: any bytes under a right checksum, and any elements there and back.
#include "cabacus/checksum.hpp"
#include "cabacus/error.hpp"
#include "cabacus/exact_decoder.hpp"
#include "cabacus/exact_encoder.hpp"
#include "drawer.hpp"
#include "targets.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using cabacus::ExactFloat;
using cabacus::LevelCoding;

constexpr std::size_t kMostElements = 1024;

// Fields as the header allows them.
ExactFloat drawn(fuzz::Drawer& drawer, int mantissa_bits, int exponent_bits) {
    ExactFloat exact;
    exact.mantissa_bits = mantissa_bits;
    exact.exponent_bits = exponent_bits;
    exact.bits = drawer.upto(mantissa_bits);
    exact.flags = drawer.upto(cabacus::kExactFlags);
    if ((exact.flags & cabacus::kZeroWhole) != 0) exact.flags &= static_cast<std::uint8_t>(~cabacus::kZeroSigns);
    exact.lowest = 1 + drawer.u16() % exact.greatest_field();
    exact.center = drawer.u16() % (exact.greatest_field() - exact.lowest + 2);
    if (exact.has_ends()) exact.last = 1 + drawer.u16() % (exact.greatest_field() + static_cast<std::uint32_t>(exact.bits));
    return exact;
}

template <class Bits>
void check_slice(fuzz::Drawer& drawer, int mantissa_bits, int exponent_bits) {
    LevelCoding coding = drawer.coding();
    coding.trellis = 0;
    const std::size_t count = 1 + drawer.u16() % kMostElements;
    const std::size_t width = 1 + drawer.u16() % count;
    const ExactFloat exact = drawn(drawer, mantissa_bits, exponent_bits);
    std::vector<std::uint8_t> slice(drawer.rest().begin(), drawer.rest().end());
    cabacus::append_checksum(slice);
    const cabacus::SliceRun run{coding, count, width, (count + width - 1) / width, 0, {slice.size()}, slice};
    std::vector<Bits> found(count);
    try {
        cabacus::decode_exact(run, exact, 1, "w", found.data());
    } catch (const cabacus::FormatError& error) {
        CLAIM(error.kind == cabacus::Fault::corrupt || error.kind == cabacus::Fault::truncated);
    }
}

template <class Bits>
void check_elements(fuzz::Drawer& drawer, int mantissa_bits) {
    const std::size_t columns = drawer.u16();
    const int kept = drawer.upto(mantissa_bits);  // weights of other types, widened, end in zeros
    const fuzz::Input rest = drawer.rest();
    const std::size_t count = std::min(kMostElements, rest.size() / sizeof(Bits));
    if (count == 0) return;
    std::vector<Bits> elements(count);
    std::memcpy(elements.data(), rest.data(), count * sizeof(Bits));
    for (Bits& element : elements) element = static_cast<Bits>(element >> (mantissa_bits - kept) << (mantissa_bits - kept));
    cabacus::EncodeOptions options;
    options.columns = 1 + columns % count;
    const cabacus::EncodedExact made = cabacus::encode_exact(elements.data(), count, mantissa_bits, options);
    cabacus::SliceRun run{made.tensor.coding, count, made.tensor.row_width, made.tensor.slice_rows, 0, {}, made.tensor.payload};
    for (const std::uint64_t bytes : made.tensor.slice_bytes) run.bytes.push_back(static_cast<std::size_t>(bytes));
    std::vector<Bits> found(count);
    cabacus::decode_exact(run, made.exact, 1, "w", found.data());
    CLAIM(found == elements);
}

}  // namespace

void fuzz::exact(Input input) {
    Drawer drawer(input);
    const std::uint8_t kind = drawer.byte();
    switch (kind % 8) {
        case 0: return check_slice<std::uint16_t>(drawer, 10, 5);
        case 1: return check_slice<std::uint16_t>(drawer, 7, 8);
        case 2: return check_slice<std::uint32_t>(drawer, 23, 8);
        case 3: return check_slice<std::uint64_t>(drawer, 52, 11);
        case 4: return check_elements<std::uint16_t>(drawer, 10);
        case 5: return check_elements<std::uint16_t>(drawer, 7);
        case 6: return check_elements<std::uint32_t>(drawer, 23);
        default: return check_elements<std::uint64_t>(drawer, 52);
    }
}
