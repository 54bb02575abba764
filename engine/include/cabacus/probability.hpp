// Adaptive probabilities of bins: counts that learn fast at first and forget slowly later. FORMAT section 5.4.
#pragma once

#include "cabacus/inline.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

// A probability P(1) as the coder uses it, in 2^-12; never 0 nor 1.
inline constexpr int kProbabilityBits = 12;
inline constexpr std::uint32_t kProbabilityOne = 1u << kProbabilityBits;
inline constexpr std::uint32_t kHalf = kProbabilityOne / 2;

// Counts are in sixteenths, so that the rounding of a limited count does not drown rare bins.
inline constexpr std::int32_t kCountUnit = 16;
inline constexpr std::int32_t kCountLimit = 2048 * kCountUnit;

// What a block saw, or a table holds, of sixteen contexts that are alike.
inline constexpr std::size_t kRowSize = 16;
using Row = std::array<std::uint32_t, kRowSize>;

// The counts of sixteen contexts, laid out for vectors. Divisions are done in float64 and cut off: dividends are below
// 2^53 and quotients no nearer to the next integer than 2^-20, which gives the integer quotients of FORMAT.
struct CountRow {
    std::array<std::int32_t, kRowSize> ones{};
    std::array<std::int32_t, kRowSize> total{};  // <= kCountLimit after `add`

    // Adds bins that were seen; beyond the limit the past is scaled down with the present.
    CABACUS_INLINE void add(const Row& new_ones, const Row& new_total) {
        for (std::size_t i = 0; i < kRowSize; ++i) {
            const std::int32_t o = ones[i] + static_cast<std::int32_t>(new_ones[i]) * kCountUnit;
            const std::int32_t t = total[i] + static_cast<std::int32_t>(new_total[i]) * kCountUnit;
            const double scaled = static_cast<double>(o) * kCountLimit + static_cast<double>(t >> 1);
            const auto limited = static_cast<std::int32_t>(scaled / static_cast<double>(std::max(t, 1)));
            ones[i] = t > kCountLimit ? limited : o;
            total[i] = std::min(t, kCountLimit);
        }
    }

    // P(1) of all sixteen contexts together in 2^-16, with `weight` sixteenths of a bin seen before at `prior` (2^-16).
    CABACUS_INLINE std::uint32_t average(std::uint32_t prior, std::uint32_t weight) const {
        std::int32_t all_ones = 0;
        std::int32_t all = 0;
        for (std::size_t i = 0; i < kRowSize; ++i) {
            all_ones += ones[i];
            all += total[i];
        }
        const double mass = 65536.0 * all_ones + static_cast<double>(weight) * prior;
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(mass / (all + static_cast<std::int32_t>(weight))));
    }

    // P(1) of each context as the coder uses it, with `weight` sixteenths of a bin seen before at `prior` (2^-16).
    CABACUS_INLINE void probabilities(std::uint32_t prior, std::int32_t weight, Row& table) const {
        const double before = static_cast<double>(weight) * prior;
        for (std::size_t i = 0; i < kRowSize; ++i) {
            const double mass = 65536.0 * ones[i] + before;
            const auto p16 = static_cast<std::int32_t>(mass / (total[i] + weight));
            const std::int32_t p = (p16 + 8) >> (16 - kProbabilityBits);
            table[i] = static_cast<std::uint32_t>(std::clamp(p, 1, static_cast<std::int32_t>(kProbabilityOne) - 1));
        }
    }
};

}  // namespace cabacus
