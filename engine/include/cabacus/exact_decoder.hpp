// Decodes slices of exact floats: exponents and ends through the lane coder, the other bits as they are. FORMAT 6.2.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/error.hpp"
#include "cabacus/exact_float.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/decode.hpp"
#include "cabacus/tensor_decoder.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace cabacus {

namespace detail {

// The three parts of a slice.
struct ExactParts {
    ByteSpan exponents, ends, bits;

    ExactParts(ByteSpan slice, bool has_ends) {
        ByteReader in(slice, Fault::corrupt);
        const std::uint64_t exponent_bytes = in.varint();
        const std::uint64_t end_bytes = has_ends ? in.varint() : 0;
        exponents = in.bytes(exponent_bytes);
        ends = in.bytes(end_bytes);
        bits = in.bytes(in.remaining());
    }
};

// Exponent fields out of levels, as far as they are some.
class FieldOf {
  public:
    explicit FieldOf(const ExactFloat& exact)
        : center_(exact.center), below_(exact.lowest - 1), most_(exact.greatest_field() - below_),
          zero_first_((exact.flags & kZeroFirst) != 0 ? 1 : 0) {}

    std::uint32_t operator()(std::int32_t level) {
        // 0, 1, 2, 3, 4 are 0, -1, 1, -2, 2 from the center. What lies below 0 wraps around, and is above the greatest.
        const std::uint32_t fold = static_cast<std::uint32_t>(level) - zero_first_;
        const std::uint32_t around = center_ + ((fold >> 1) ^ (0u - (fold & 1)));
        const std::uint32_t index = static_cast<std::uint32_t>(level) < zero_first_ ? 0 : around;
        seen_ = std::max(seen_, index);
        return index == 0 ? 0 : index + below_;
    }
    bool wrong() const { return seen_ > most_; }

  private:
    std::uint32_t center_;
    std::uint32_t below_;
    std::uint32_t most_;  // the greatest index
    std::uint32_t zero_first_;
    std::uint32_t seen_ = 0;  // the greatest index so far: as a number, so that compilers make vectors of it
};

template <class Bits>
Bits element_of(const ExactFloat& exact, std::uint32_t field, std::uint64_t sign, std::uint64_t mantissa) {
    return static_cast<Bits>(sign << (exact.mantissa_bits + exact.exponent_bits) |
                             std::uint64_t{field} << exact.mantissa_bits | mantissa);
}

// `out` may lie where the levels do: elements are written after their levels were read.
template <class Bits>
bool join(const ExactFloat& exact, const std::int32_t* levels, std::size_t count, ByteSpan stored, Bits* out) {
    BitReader in(stored);
    FieldOf field_of(exact);  // copied for each run: what is reached by a pointer would not stay in registers
    const int zero_mantissa = exact.zero_mantissa();
    const int zero_width = exact.zero_width();
    const int width = 1 + exact.bits;
    const int dropped = exact.mantissa_bits - exact.bits;
    const std::uint64_t ones = (std::uint64_t{1} << exact.bits) - 1;
    constexpr std::size_t kRun = 64;
    std::array<std::uint32_t, kRun> fields;
    for (std::size_t i = 0; i < count; i += kRun) {
        const std::size_t run = std::min(kRun, count - i);
        std::uint32_t least = 1;
        FieldOf here = field_of;
        for (std::size_t j = 0; j < run; ++j) {
            fields[j] = here(levels[i + j]);
            least = std::min(least, fields[j]);
        }
        field_of = here;
        // Most runs have no zeros, and elements of one width.
        if (least > 0 && in.holds(run * static_cast<std::uint64_t>(width))) {
            for (std::size_t j = 0; j < run; ++j) {
                const std::uint64_t value = in.take_inside(width);
                out[i + j] = element_of<Bits>(exact, fields[j], value >> exact.bits, (value & ones) << dropped);
            }
            continue;
        }
        for (std::size_t j = 0; j < run; ++j) {
            const int kept = fields[j] == 0 ? zero_mantissa : exact.bits;
            const std::uint64_t value = in.take(fields[j] == 0 ? zero_width : width);
            const std::uint64_t mantissa = (value & ((std::uint64_t{1} << kept) - 1)) << (exact.mantissa_bits - kept);
            out[i + j] = element_of<Bits>(exact, fields[j], value >> kept, mantissa);
        }
    }
    return in.finished() && !field_of.wrong();
}

// The same where ends are coded: of a mantissa with ones, the last is not stored and nothing after it.
template <class Bits>
bool join_ends(const ExactFloat& exact, const std::int32_t* levels, std::size_t count, const std::int32_t* ends,
               ByteSpan stored, Bits* out) {
    BitReader in(stored);
    FieldOf field_of(exact);
    bool wrong = false;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t field = field_of(levels[i]);
        if (field == 0) {
            const int kept = exact.zero_mantissa();
            const std::uint64_t value = in.take(exact.zero_width());
            const std::uint64_t mantissa = (value & ((std::uint64_t{1} << kept) - 1)) << (exact.mantissa_bits - kept);
            out[i] = element_of<Bits>(exact, 0, value >> kept, mantissa);
            continue;
        }
        const std::int64_t found = std::int64_t{field} + exact.bits - (std::int64_t{*ends++} + exact.last);
        wrong |= found < 0 || found > exact.bits;
        const int kept = static_cast<int>(std::clamp<std::int64_t>(found, 0, exact.bits));
        const int before = std::max(kept - 1, 0);
        const std::uint64_t value = in.take(1 + before);
        const std::uint64_t high = value & ((std::uint64_t{1} << before) - 1);
        const std::uint64_t mantissa = kept == 0 ? 0 : (high << 1 | 1) << (exact.mantissa_bits - kept);
        out[i] = element_of<Bits>(exact, field, value >> before, mantissa);
    }
    return !wrong && in.finished() && !field_of.wrong();
}

template <class Bits>
void decode_exact_slice(const SliceGeometry& geometry, const LevelCoding& coding, const ExactFloat& exact, ByteSpan slice,
                        Bits* out) {
    const ExactParts parts(slice, exact.has_ends());
    std::vector<std::int32_t> apart;
    std::int32_t* levels;
    if constexpr (sizeof(Bits) == sizeof(std::int32_t)) {
        levels = reinterpret_cast<std::int32_t*>(out);
    } else {
        apart.resize(geometry.weights);
        levels = apart.data();
    }
    decode_slice(geometry, coding, parts.exponents, levels);
    bool good;
    if (exact.has_ends()) {
        FieldOf field_of(exact);
        const auto zeros = std::count_if(levels, levels + geometry.weights,
                                         [&field_of](std::int32_t level) { return field_of(level) == 0; });
        const SliceGeometry others{geometry.weights - static_cast<std::size_t>(zeros), geometry.row_width, geometry.lanes};
        std::vector<std::int32_t> ends(others.weights);
        if (others.weights > 0) decode_slice(others, coding, parts.ends, ends.data());
        good = (others.weights > 0 || parts.ends.empty()) &&
               join_ends(exact, levels, geometry.weights, ends.data(), parts.bits, out);
    } else {
        good = join(exact, levels, geometry.weights, parts.bits, out);
    }
    if (!good) throw FormatError(Fault::corrupt, "a slice of exact floats does not fit together");
}

}  // namespace detail

// The bits of the elements of a run of slices, in scan order.
template <class Bits>
void decode_exact(const SliceRun& run, const ExactFloat& exact, int threads, const std::string& tensor, Bits* out) {
    static_assert(std::is_unsigned_v<Bits>);
    for_each_slice(run, threads, tensor, [&](std::size_t position, const SliceGeometry& geometry, ByteSpan slice) {
        detail::decode_exact_slice(geometry, run.coding, exact, slice, out + position);
    });
}

}  // namespace cabacus
