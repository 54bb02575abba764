// Running magnitudes of rows, columns and the slice, from which a weight's context class follows. FORMAT section 5.3.
#pragma once

#include "cabacus/inline.hpp"
#include "cabacus/level_coding.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cabacus {

inline constexpr int kMagnitudeBits = 8;        // magnitudes are in 2^-8 of a level
inline constexpr int kMagnitudeCap = 4095;      // of a level, before it is averaged
inline constexpr int kSliceShift = 5;
inline constexpr int kMiddleClass = 10;         // half octaves above the floor at which a slice is taken to begin
inline constexpr int kSignBias = 40;            // in 2^-8: mean sign of a column that counts as biased; twice: strongly

inline int capped(std::int32_t level) {
    return static_cast<int>(std::min<std::uint32_t>(magnitude_of(level), kMagnitudeCap));
}

// Eighths of an octave of a magnitude: exponent and first three mantissa bits of the float, which is exact below 2^24.
CABACUS_INLINE int octave_eighths(int magnitude) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(std::max(magnitude, 1)));
    return static_cast<int>(bits >> 20) - (127 << 3);
}

// The class of a magnitude in eighths of an octave: half octaves, or octaves where each is split by the trellis.
CABACUS_INLINE int magnitude_class(int eighths, int floor, bool halved) {
    return std::clamp((eighths >> 2) - floor, 0, 15) >> static_cast<int>(halved);
}
inline int magnitude_class(const LevelCoding& coding, int eighths) {
    return magnitude_class(eighths, coding.class_floor, coding.trellis != 0);
}

// A running mean starts as a plain one: the first values count 1/2, 1/4, ... until `shift` is reached.
CABACUS_INLINE int warm_shift(int shift, std::size_t seen) {
    return std::min(shift, static_cast<int>(std::bit_width(seen)));
}

class Magnitudes {
  public:
    Magnitudes(const LevelCoding& coding, std::size_t columns)
        : uses_columns_(coding.context == kColumn || coding.context == kRowColumn),
          uses_rows_(coding.context == kRow || coding.context == kRowColumn),
          row_shift_(coding.row_shift), column_shift_(coding.column_shift),
          slice_(1 << ((coding.class_floor + kMiddleClass) / 2)) {
        if (uses_columns_) columns_.assign(columns, Column{});
    }

    CABACUS_INLINE void begin_group(std::size_t group) {
        first_group_ = group == 0;
        group_shift_ = warm_shift(column_shift_, group);
        rows_.fill(slice_);
    }

    bool uses_rows() const { return uses_rows_; }
    std::int32_t* rows() { return rows_.data(); }
    std::int32_t slice() const { return slice_; }
    CABACUS_INLINE int row_shift(std::size_t column) const { return std::min(row_shift_, 1 + static_cast<int>(std::bit_width(column))); }

    // What every lane of a step adds to its row's eighths of an octave.
    CABACUS_INLINE int step_term(std::size_t column) const {
        if (!uses_columns_) return 0;
        const int here = octave_eighths(first_group_ ? slice_ : columns_[column].magnitude);
        return uses_rows_ ? here - octave_eighths(slice_) : here;
    }

    // 0: as many signs of either kind in this column so far; 1, 2: more negative ones; 3, 4: more positive ones.
    CABACUS_INLINE int sign_bias(std::size_t column) const {
        if (!uses_columns_ || first_group_) return 0;
        const int sign = columns_[column].sign;
        if (sign < 0) return sign < -2 * kSignBias ? 2 : sign < -kSignBias ? 1 : 0;
        return sign > 2 * kSignBias ? 4 : sign > kSignBias ? 3 : 0;
    }

    // After a step: the sum of the capped magnitudes of its lanes, the positive less the negative ones, and the lanes.
    CABACUS_INLINE void end_step(std::size_t column, int sum, int signs, int lanes) {
        const int mean = over(sum << kMagnitudeBits, lanes);
        slice_ += (mean - slice_) >> kSliceShift;
        if (!uses_columns_) return;
        Column& here = columns_[column];
        const int sign = over(signs * (1 << kMagnitudeBits), lanes);
        here.magnitude += (mean - here.magnitude) >> group_shift_;
        here.sign += (sign - here.sign) >> group_shift_;
    }

  private:
    // A quotient rounded towards zero. Lanes are a power of two, but for a last group: a shift is faster than a division.
    CABACUS_INLINE static int over(int sum, int lanes) {
        if ((lanes & (lanes - 1)) != 0) return sum / lanes;
        const int shift = std::countr_zero(static_cast<unsigned>(lanes));
        return (sum + (sum < 0 ? lanes - 1 : 0)) >> shift;
    }

    struct Column {
        std::int32_t magnitude = 0;
        std::int32_t sign = 0;
    };

    bool uses_columns_;
    bool uses_rows_;
    int row_shift_;
    int column_shift_;
    bool first_group_ = true;
    int group_shift_ = 0;
    std::int32_t slice_;
    alignas(64) std::array<std::int32_t, kMaxLanes> rows_{};
    std::vector<Column> columns_;
};

}  // namespace cabacus
