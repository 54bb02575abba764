// Adaptive probabilities of bins: counts that learn fast at first and forget slowly later. FORMAT section 5.4.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cabacus {

// A probability P(1) as the coder uses it, in 2^-12; never 0 nor 1.
inline constexpr int kProbabilityBits = 12;
inline constexpr std::uint32_t kProbabilityOne = 1u << kProbabilityBits;
inline constexpr std::uint32_t kHalf = kProbabilityOne / 2;

// Counts are in sixteenths, so that the rounding of a limited count does not drown rare bins.
inline constexpr std::uint32_t kCountUnit = 16;
inline constexpr std::uint32_t kCountLimit = 2048 * kCountUnit;

struct BinCounts {
    std::uint32_t ones = 0;
    std::uint32_t total = 0;  // <= kCountLimit after `add`

    // Adds bins that were seen; beyond the limit the past is scaled down with the present.
    void add(std::uint32_t new_ones, std::uint32_t new_total) {
        ones += new_ones * kCountUnit;
        total += new_total * kCountUnit;
        if (total > kCountLimit) {
            const std::uint64_t scaled = std::uint64_t{ones} * kCountLimit + total / 2;
            ones = static_cast<std::uint32_t>(scaled / total);
            total = kCountLimit;
        }
    }

    // P(1) in 2^-16, with `weight` sixteenths of a bin seen before at probability `prior` (2^-16).
    std::uint32_t probability16(std::uint32_t prior, std::uint32_t weight) const {
        const std::uint64_t mass = (std::uint64_t{ones} << 16) + std::uint64_t{weight} * prior;
        return static_cast<std::uint32_t>(mass / (total + weight));
    }
};

inline std::uint16_t coder_probability(std::uint32_t probability16) {
    const std::uint32_t rounded = (probability16 + 8) >> (16 - kProbabilityBits);
    return static_cast<std::uint16_t>(std::clamp(rounded, 1u, kProbabilityOne - 1));
}

}  // namespace cabacus
