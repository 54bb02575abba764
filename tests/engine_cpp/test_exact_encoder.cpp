// Exact floats there and back, and what the encoder finds out about them.
#include "cabacus/exact_encoder.hpp"

#include "cabacus/exact_decoder.hpp"
#include "check.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

template <class Bits>
cabacus::EncodedExact round_trip(const std::vector<Bits>& elements, int mantissa_bits, std::size_t columns) {
    cabacus::EncodeOptions options;
    options.columns = columns;
    const cabacus::EncodedExact made = cabacus::encode_exact(elements.data(), elements.size(), mantissa_bits, options);
    cabacus::SliceRun run{made.tensor.coding, elements.size(), made.tensor.row_width, made.tensor.slice_rows, 0, {},
                          made.tensor.payload};
    for (const std::uint64_t bytes : made.tensor.slice_bytes) run.bytes.push_back(static_cast<std::size_t>(bytes));
    std::vector<Bits> found(elements.size());
    cabacus::decode_exact(run, made.exact, 1, "w", found.data());
    CHECK(found == elements);
    return made;
}

// Numbers of both signs in some octaves, of which only the upper mantissa bits are used.
std::vector<std::uint32_t> numbers(std::size_t count, int used) {
    std::vector<std::uint32_t> bits(count);
    std::uint32_t seed = 7;
    for (std::uint32_t& one : bits) {
        seed = seed * 1664525 + 1013904223;
        const std::uint32_t field = 120 + static_cast<std::uint32_t>(std::countl_zero(seed | 1));
        one = (seed & 0x80000000) | (field << 23) | ((seed >> 3 & 0x7FFFFF) >> (23 - used) << (23 - used));
    }
    return bits;
}

}  // namespace

TEST(exact_floats_of_every_width) {
    const std::vector<std::uint32_t> some = numbers(3000, 23);
    round_trip(some, 23, 30);
    std::vector<std::uint16_t> half(some.size());
    std::vector<std::uint64_t> twice(some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {
        half[i] = static_cast<std::uint16_t>(some[i] >> 16);
        twice[i] = std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(some[i])) / 3);
    }
    round_trip(half, 7, 30);
    round_trip(half, 10, 7);
    round_trip(twice, 52, 3000);
    round_trip(std::vector<std::uint64_t>{~std::uint64_t{0}, 0, 1, std::uint64_t{1} << 63}, 52, 4);
}

TEST(exact_floats_keep_only_the_bits_that_are_used) {
    const cabacus::EncodedExact made = round_trip(numbers(3000, 7), 23, 30);
    CHECK_EQUAL(made.exact.bits, 7);
    CHECK(made.tensor.payload.size() < 3000u * 11 / 8);
    CHECK_EQUAL(round_trip(std::vector<std::uint32_t>(50, 0x3F800000), 23, 50).exact.bits, 0);
}

TEST(exact_floats_zeros_have_the_bits_that_they_need) {
    std::vector<std::uint32_t> some = numbers(2000, 23);
    for (std::size_t i = 0; i < some.size(); ++i) some[i] = i % 10 == 0 ? some[i] : 0;
    const cabacus::EncodedExact plain = round_trip(some, 23, 20);
    CHECK_EQUAL(int{plain.exact.flags}, int{cabacus::kZeroFirst});
    CHECK(plain.tensor.payload.size() < 2000u * 4 / 8);
    some[1] = 0x80000000;
    CHECK_EQUAL(round_trip(some, 23, 20).exact.flags & 3, int{cabacus::kZeroSigns});
    some[2] = 1;
    CHECK_EQUAL(round_trip(some, 23, 20).exact.flags & 3, int{cabacus::kZeroWhole});
    CHECK(round_trip(std::vector<std::uint32_t>(20, 0), 23, 20).tensor.payload.size() < 10);
}

TEST(exact_floats_differences_have_ends) {
    std::vector<std::uint32_t> some = numbers(4000, 23);
    for (std::uint32_t& one : some) {
        const float number = std::bit_cast<float>(one);
        one = std::bit_cast<std::uint32_t>(std::round(number * 65536) / 65536);  // all on one grid
    }
    CHECK((round_trip(some, 23, 40).exact.flags & cabacus::kEnds) != 0);
}
