// Codes floating-point numbers exactly: looks at what bits there are, and chooses what to keep of them. FORMAT 6.2.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/exact_float.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/encode.hpp"
#include "cabacus/tensor_encoder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cabacus {

struct EncodedExact {
    ExactFloat exact;
    EncodedTensor tensor;
};

namespace detail {

// An element taken apart.
struct FloatParts {
    std::uint32_t field;
    std::uint64_t sign;
    std::uint64_t mantissa;
    int kept;  // bits of the mantissa down to its last one; 0 where there is none

    FloatParts(std::uint64_t element, int mantissa_bits, int exponent_bits)
        : field(static_cast<std::uint32_t>(element >> mantissa_bits & ((1u << exponent_bits) - 1))),
          sign(element >> (mantissa_bits + exponent_bits)),
          mantissa(element & ((std::uint64_t{1} << mantissa_bits) - 1)),
          kept(mantissa == 0 ? 0 : mantissa_bits - std::countr_zero(mantissa)) {}
};

// What the bits of a tensor are like.
class ExactStatistics {
  public:
    ExactStatistics(int mantissa_bits, int exponent_bits)
        : mantissa_bits_(mantissa_bits), fields_(std::size_t{1} << exponent_bits),
          places_(fields_.size() + static_cast<std::size_t>(mantissa_bits)) {}

    void add(const FloatParts& parts) {
        ++fields_[parts.field];
        most_kept_ = std::max(most_kept_, parts.kept);
        if (parts.field == 0) {
            subnormal_ |= parts.mantissa != 0;
            negative_zero_ |= parts.sign != 0;
            return;
        }
        ++places_[parts.field + static_cast<std::size_t>(mantissa_bits_ - parts.kept)];
        bits_up_to_ends_ += static_cast<std::uint64_t>(std::max(parts.kept, 1));
    }

    ExactFloat choose() const {
        ExactFloat exact;
        exact.mantissa_bits = mantissa_bits_;
        exact.exponent_bits = std::countr_zero(fields_.size());
        exact.bits = most_kept_;
        if (subnormal_) {
            exact.flags |= kZeroWhole;
        } else if (negative_zero_) {
            exact.flags |= kZeroSigns;
        }
        const auto first = std::find_if(fields_.begin() + 1, fields_.end(), [](std::uint64_t count) { return count != 0; });
        if (first != fields_.end()) exact.lowest = static_cast<std::uint32_t>(first - fields_.begin());
        const auto most = std::max_element(fields_.begin() + 1, fields_.end());
        if (*most > 0) exact.center = static_cast<std::uint32_t>(most - fields_.begin()) - exact.lowest + 1;
        if (fields_[0] > *most / 4) exact.flags |= kZeroFirst;
        if (ends_pay()) {
            exact.flags |= kEnds;
            // Places count from the last mantissa bit that is kept.
            exact.last = static_cast<std::uint32_t>(std::max_element(places_.begin(), places_.end()) - places_.begin()) -
                         static_cast<std::uint32_t>(mantissa_bits_ - most_kept_);
        }
        return exact;
    }

  private:
    // Whether ends are told in clearly fewer bits than what follows them takes: they make decoding slower.
    bool ends_pay() const {
        std::uint64_t count = 0;
        for (const std::uint64_t some : places_) count += some;
        if (count == 0) return false;
        double bits = 0.0;
        for (const std::uint64_t some : places_) {
            if (some != 0) bits += static_cast<double>(some) * std::log2(static_cast<double>(count) / static_cast<double>(some));
        }
        const double whole = static_cast<double>(count) * (1 + most_kept_);
        constexpr double kEnough = 0.99, kBeginning = 256.0;
        return static_cast<double>(bits_up_to_ends_) + bits + kBeginning < kEnough * whole;
    }

    int mantissa_bits_;
    std::vector<std::uint64_t> fields_;
    std::vector<std::uint64_t> places_;  // of the last ones, on the scale of the fields, above 0
    std::uint64_t bits_up_to_ends_ = 0;
    int most_kept_ = 0;
    bool subnormal_ = false;
    bool negative_zero_ = false;
};

inline std::int32_t level_of(const ExactFloat& exact, std::uint32_t field) {
    const bool zero_first = (exact.flags & kZeroFirst) != 0;
    if (field == 0 && zero_first) return 0;
    const std::uint32_t index = field == 0 ? 0 : field - exact.lowest + 1;
    const std::int32_t from = static_cast<std::int32_t>(index) - static_cast<std::int32_t>(exact.center);
    return (from < 0 ? -2 * from - 1 : 2 * from) + (zero_first ? 1 : 0);
}

inline std::int32_t end_of(const ExactFloat& exact, const FloatParts& parts) {
    return static_cast<std::int32_t>(parts.field) + exact.bits - parts.kept - static_cast<std::int32_t>(exact.last);
}

inline void put_bits(const ExactFloat& exact, const FloatParts& parts, BitWriter& out) {
    int kept = exact.bits;
    if (parts.field == 0) {
        kept = exact.zero_mantissa();
        if (exact.zero_width() == 0) return;
    } else if (exact.has_ends()) {
        kept = std::max(parts.kept - 1, 0);
    }
    out.put(parts.sign << kept | parts.mantissa >> (exact.mantissa_bits - kept), 1 + kept);
}

template <class Bits>
std::vector<std::uint8_t> encode_exact_slice(const SliceGeometry& geometry, const LevelCoding& coding, const ExactFloat& exact,
                                             const Bits* elements, const std::int32_t* levels) {
    BitWriter stored;
    std::vector<std::int32_t> ends;
    for (std::size_t i = 0; i < geometry.weights; ++i) {
        const FloatParts parts(elements[i], exact.mantissa_bits, exact.exponent_bits);
        if (exact.has_ends() && parts.field != 0) ends.push_back(end_of(exact, parts));
        put_bits(exact, parts, stored);
    }
    const auto exponent_words = encode_slice(geometry, coding, levels);
    ByteWriter out;
    out.varint(exponent_words.size());
    if (exact.has_ends()) {
        const SliceGeometry others{ends.size(), geometry.row_width, geometry.lanes};
        const auto end_words = ends.empty() ? std::vector<std::uint8_t>() : encode_slice(others, coding, ends.data());
        out.varint(end_words.size());
        out.bytes(exponent_words);
        out.bytes(end_words);
    } else {
        out.bytes(exponent_words);
    }
    out.bytes(stored.finish());
    return out.take();
}

// Lanes by the whole size, of which their ends take a two-hundredth: what decides about the speed are the exponents.
inline int exact_lanes(std::size_t bytes) {
    int lanes = 1;
    while (lanes < kMaxLanes && bytes / 600 >= static_cast<std::size_t>(2 * lanes)) lanes *= 2;
    return lanes < 8 ? 1 : lanes;  // as for levels: 2 and 4 are hardly faster than 1
}

}  // namespace detail

// `elements`: the bits of count >= 1 numbers in scan order. The tensor's histogram figures are those of the exponents.
template <class Bits>
EncodedExact encode_exact(const Bits* elements, std::size_t count, int mantissa_bits, const EncodeOptions& options) {
    const int exponent_bits = static_cast<int>(8 * sizeof(Bits)) - 1 - mantissa_bits;
    detail::ExactStatistics statistics(mantissa_bits, exponent_bits);
    for (std::size_t i = 0; i < count; ++i) statistics.add(detail::FloatParts(elements[i], mantissa_bits, exponent_bits));
    EncodedExact made{statistics.choose(), {}};
    const ExactFloat& exact = made.exact;
    std::vector<std::int32_t> levels(count);
    LevelStatistics seen;
    std::uint32_t farthest_end = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const detail::FloatParts parts(elements[i], mantissa_bits, exponent_bits);
        levels[i] = detail::level_of(exact, parts.field);
        seen.add(levels[i]);
        if (exact.has_ends() && parts.field != 0) farthest_end = std::max(farthest_end, magnitude_of(detail::end_of(exact, parts)));
    }
    seen.largest = std::max(seen.largest, farthest_end);
    const std::size_t sampled = detail::sample_size(count, options.columns, options.effort);
    EncodeOptions how = options;
    if (!how.fixed.lanes && !how.coding) how.fixed.lanes = detail::exact_lanes(count * sizeof(Bits));
    made.tensor = detail::plan(how, seen, {levels.data(), sampled});
    const LevelCoding coding = made.tensor.coding;
    made.tensor = detail::encode_slices(
        count, std::move(made.tensor), options.threads,
        [&](std::size_t begin, const SliceGeometry& geometry, detail::SliceResult& result) {
            result.bytes = detail::encode_exact_slice(geometry, coding, exact, elements + begin, levels.data() + begin);
            append_checksum(result.bytes);
            result.size = result.bytes.size();
            result.histogram.add(levels.data() + begin, geometry.weights);
        });
    return made;
}

}  // namespace cabacus
