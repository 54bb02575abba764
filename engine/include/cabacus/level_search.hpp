// Chooses the parameters of a stream of levels by what they would cost. The choice is the encoder's; FORMAT allows any.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/binarization.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/level_encoder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace cabacus {

enum class Effort { fast, normal, max };

// What the search needs to know of a tensor's levels.
struct LevelStatistics {
    std::uint64_t weights = 0;
    std::uint64_t nonzero = 0;
    std::uint64_t magnitude_sum = 0;
    std::uint32_t largest = 0;

    void add(std::int32_t level) {
        const std::uint32_t magnitude = magnitude_of(level);
        ++weights;
        nonzero += magnitude != 0;
        magnitude_sum += magnitude;
        largest = std::max(largest, magnitude);
    }
    double mean() const { return weights ? static_cast<double>(magnitude_sum) / static_cast<double>(weights) : 0.0; }
    // A guess in bits per weight: the entropy of a geometric magnitude, and the signs.
    double bits() const {
        const double m = mean();
        if (m <= 0.0) return 0.0;
        return std::log2(1 + m) + m * std::log2(1 + 1 / m) + static_cast<double>(nonzero) / static_cast<double>(weights);
    }
};

// Parameters that the caller pins; the others are chosen.
struct FixedCoding {
    std::optional<int> flags, golomb, prefixes, width, context, row_shift, column_shift, class_floor, lanes;
};

namespace detail {

inline constexpr std::uint64_t kManyWeights = std::uint64_t{1} << 20;
// So few weights end before columns are learnt, and before a search pays.
inline constexpr std::uint64_t kFewWeights = 1024;

inline int bits_beyond(const LevelCoding& coding, std::uint32_t largest) {
    const Binarization bins(coding);
    const std::uint32_t base = bins.base(coding.prefixes);
    return largest < base ? 0 : std::bit_width(largest - base);
}

// AbsGr flags for all levels while those are small; else few flags, and prefix bins that reach far. Where few levels are
// not zero, and where they are great, buckets of several magnitudes end sooner: that decodes faster and takes no more bytes.
inline void choose_binarization(LevelCoding& coding, const LevelStatistics& seen, const FixedCoding& fixed) {
    if (seen.largest <= kMaxFlags) {
        coding.flags = static_cast<std::uint8_t>(seen.largest > 0 ? seen.largest - 1 : 0);
        coding.golomb = coding.prefixes = 0;
    } else if (seen.nonzero < seen.weights / 8) {
        coding.flags = 4, coding.golomb = 0, coding.prefixes = 6;
    } else if (seen.mean() < 6) {
        coding.flags = 9, coding.golomb = 0, coding.prefixes = 5;
    } else {
        const double nonzero_mean = static_cast<double>(seen.magnitude_sum) / static_cast<double>(seen.nonzero);
        // The paper's remainder of fixed length has no buckets.
        coding.flags = fixed.prefixes == 0 ? 4 : 0, coding.prefixes = 8;
        coding.golomb = static_cast<std::uint8_t>(std::clamp(static_cast<int>(std::log2(nonzero_mean)) - 2, 1, 12));
    }
    if (fixed.flags) {
        coding.flags = static_cast<std::uint8_t>(*fixed.flags);
        coding.prefixes = static_cast<std::uint8_t>(std::min<int>(coding.prefixes, kMaxFlags - coding.flags));
        if (static_cast<std::uint32_t>(coding.flags) + 1 < seen.largest && coding.prefixes == 0) {
            coding.prefixes = static_cast<std::uint8_t>(std::min(8, kMaxFlags - coding.flags));
        }
    }
    if (fixed.golomb) coding.golomb = static_cast<std::uint8_t>(*fixed.golomb);
    if (fixed.prefixes) coding.prefixes = static_cast<std::uint8_t>(*fixed.prefixes);
    if (!fixed.golomb) coding.golomb = std::min(coding.golomb, static_cast<std::uint8_t>(kMaxSuffix - coding.prefixes));
    coding.width = static_cast<std::uint8_t>(std::max(fixed.width.value_or(0), bits_beyond(coding, seen.largest)));
}

inline std::uint8_t choose_floor(double mean) {
    const double half_octaves = mean > 0 ? 2 * std::log2(256 * mean) - 10 : 0.0;
    return static_cast<std::uint8_t>(std::clamp(std::lround(half_octaves), 0L, long{kMaxClassFloor}));
}

// About 2,500 bytes for every lane, whose end takes 3; but no 2 or 4, which decode hardly faster than 1: 8 take a few bytes
// more and a quarter of the time. Large tensors have all the lanes, which decode fastest.
inline std::uint8_t choose_lanes(double bytes, std::uint64_t weights) {
    int log2 = 0;
    while (log2 < 5 && bytes >= 5000.0 * (1 << log2)) ++log2;
    if (log2 == 5 && weights >= kManyWeights) return 6;
    return static_cast<std::uint8_t>(log2 == 0 ? 0 : std::max(log2, 3));
}

}  // namespace detail

inline LevelCoding first_coding(const LevelStatistics& seen, const FixedCoding& fixed) {
    LevelCoding coding;
    detail::choose_binarization(coding, seen, fixed);
    const bool small = seen.weights <= detail::kFewWeights;
    coding.context = static_cast<std::uint8_t>(fixed.context.value_or(small ? kRow : kRowColumn));
    coding.row_shift = static_cast<std::uint8_t>(fixed.row_shift.value_or(4));
    coding.column_shift = static_cast<std::uint8_t>(fixed.column_shift.value_or(3));
    coding.class_floor = static_cast<std::uint8_t>(fixed.class_floor.value_or(detail::choose_floor(seen.mean())));
    coding.lanes_log2 = detail::choose_lanes(seen.bits() * static_cast<double>(seen.weights) / 8, seen.weights);
    if (fixed.lanes) coding.lanes_log2 = static_cast<std::uint8_t>(std::bit_width(static_cast<unsigned>(*fixed.lanes)) - 1);
    return coding;
}

// Rows as they are, where there are enough of them to fill half of the lanes, and 8; else pieces of them.
inline std::size_t choose_row_width(std::size_t weights, std::size_t columns, int lanes) {
    const std::size_t rows = (weights + columns - 1) / columns;
    if (rows >= static_cast<std::size_t>(std::max(lanes / 2, std::min(lanes, 8)))) return columns;
    return (weights + static_cast<std::size_t>(lanes) - 1) / static_cast<std::size_t>(lanes);
}

// Improves a coding on sample levels, the beginning of the tensor: one parameter after the other, the best kept.
class CodingSearch {
  public:
    CodingSearch(const std::int32_t* levels, std::size_t weights, std::size_t columns, const FixedCoding& fixed)
        : source_{levels}, weights_(weights), columns_(columns), fixed_(fixed) {}

    LevelCoding run(LevelCoding coding, Effort effort) {
        if (effort == Effort::fast || (effort == Effort::normal && weights_ <= detail::kFewWeights)) return coding;
        best_ = coding;
        least_ = measure(coding);
        vary(fixed_.context, &LevelCoding::context, {kRow, kColumn});
        vary(fixed_.row_shift, &LevelCoding::row_shift, {2, 6});
        if (effort == Effort::max) exhaust();
        return best_;
    }

  private:
    void exhaust() {
        for (int round = 0; round < 2; ++round) {
            const std::uint64_t before = least_;
            vary(fixed_.context, &LevelCoding::context, {kPaper, kRow, kColumn, kRowColumn});
            vary(fixed_.row_shift, &LevelCoding::row_shift, {1, 2, 3, 4, 5, 6, 7});
            vary(fixed_.column_shift, &LevelCoding::column_shift, {1, 2, 3, 4, 5, 6});
            const int floor = best_.class_floor;
            for (const int change : {-6, -4, -2, -1, 1, 2, 4}) {
                vary(fixed_.class_floor, &LevelCoding::class_floor, {std::clamp(floor + change, 0, kMaxClassFloor)});
            }
            vary(fixed_.lanes, &LevelCoding::lanes_log2, {0, 1, 2, 3, 4, 5, 6});
            if (best_.prefixes != 0) vary_flags();
            if (least_ == before) break;
        }
    }

    void vary_flags() {
        if (fixed_.flags || fixed_.golomb || fixed_.prefixes) return;
        const std::uint32_t largest = Binarization(best_).largest();
        for (const int flags : {0, 1, 2, 4, 6, 9}) {
            for (const int golomb : {0, 1, 2}) {
                LevelCoding coding = best_;
                coding.flags = static_cast<std::uint8_t>(flags);
                coding.golomb = static_cast<std::uint8_t>(golomb);
                coding.prefixes = static_cast<std::uint8_t>(std::min(8, kMaxFlags - flags));
                coding.width = static_cast<std::uint8_t>(detail::bits_beyond(coding, largest));
                consider(coding);
            }
        }
    }

    void vary(const std::optional<int>& pinned, std::uint8_t LevelCoding::* parameter, std::initializer_list<int> values) {
        if (pinned) return;
        const LevelCoding from = best_;
        for (const int value : values) {
            LevelCoding coding = from;
            coding.*parameter = static_cast<std::uint8_t>(value);
            if (coding != from) consider(coding);
        }
    }

    void consider(const LevelCoding& coding) {
        const std::uint64_t here = measure(coding);
        if (here < least_) {
            least_ = here;
            best_ = coding;
        }
    }

    std::uint64_t measure(const LevelCoding& coding) {
        const SliceGeometry geometry{weights_, choose_row_width(weights_, columns_, coding.lanes()), coding.lanes()};
        return measure_slice(geometry, coding, source_);
    }

    GivenLevels source_;
    std::size_t weights_;
    std::size_t columns_;
    const FixedCoding& fixed_;
    LevelCoding best_;
    std::uint64_t least_ = 0;
};

}  // namespace cabacus
