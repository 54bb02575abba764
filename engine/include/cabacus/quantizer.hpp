// Chooses the level of a weight while it is coded: plain rounding, or eq. 1 of the paper with the live rates.
//
// A weight in units of the step is x = w / step. Eq. 1 divided by step^2 is then eta (x - q)^2 + c R, with R in bits.
#pragma once

#include "cabacus/bin_cost.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr double kMaxLevel = 1 << 30;  // |w| / step beyond it is refused by the callers

// Weights of a slice and how to weigh their errors. `eta` may be null: all ones.
template <class Real>
struct WeightSlice {
    const Real* weights;
    const float* eta;
    double step;         // > 0, and |w| / step <= kMaxLevel
    double rate_weight;  // c: bits against squared steps
    double max_error;    // of a weight; 0: unbounded

    double scaled(std::size_t position) const { return static_cast<double>(weights[position]) / step; }
    double importance(std::size_t position) const { return eta == nullptr ? 1.0 : static_cast<double>(eta[position]); }
    bool within(std::size_t position, double level) const {
        return max_error == 0.0 || std::abs(static_cast<double>(weights[position]) - step * level) <= max_error;
    }
};

// Ties to even, |x| <= kMaxLevel. Beyond 2^52 a float64 has no fraction: adding and taking away 3 x 2^51 rounds, without the
// call that std::nearbyint is on processors of the oldest kind.
inline std::int32_t nearest(double x) {
    constexpr double kNoFraction = 6755399441055744.0;
    return static_cast<std::int32_t>((x + kNoFraction) - kNoFraction);
}

// Eq. 1 over candidates: the nearest level, its neighbour towards zero, and zero; or every level up to `all`.
template <class Real>
struct Greedy {
    static constexpr bool kNeedsCosts = true;
    static constexpr bool kByRows = false;
    static constexpr bool kKnown = false;

    const WeightSlice<Real>& slice;
    std::int32_t* levels;
    std::int32_t all;  // 0: near candidates only

    std::int32_t choose(std::size_t position, std::size_t unary, std::size_t sign, const LevelCosts& costs) const {
        const double x = slice.scaled(position);
        const std::int32_t near = nearest(x);
        if (all != 0) return levels[position] = of_all(position, x, near, unary, sign, costs);
        if (near == 0) return levels[position] = 0;
        std::int32_t best = near;
        double least = price(position, x, near, unary, sign, costs);
        const std::int32_t inner = near - (near > 0 ? 1 : -1);
        consider(position, x, inner, unary, sign, costs, best, least);
        if (inner != 0) consider(position, x, 0, unary, sign, costs, best, least);
        return levels[position] = best;
    }

  private:
    double price(std::size_t position, double x, std::int32_t level, std::size_t unary, std::size_t sign,
                 const LevelCosts& costs) const {
        const double error = x - level;
        return slice.importance(position) * (error * error) +
               slice.rate_weight * (static_cast<double>(costs(unary, sign, level)) / (1 << kCostBits));
    }

    void consider(std::size_t position, double x, std::int32_t level, std::size_t unary, std::size_t sign,
                  const LevelCosts& costs, std::int32_t& best, double& least) const {
        const double here = price(position, x, level, unary, sign, costs);
        if (here < least && slice.within(position, level)) {
            least = here;
            best = level;
        }
    }

    std::int32_t of_all(std::size_t position, double x, std::int32_t near, std::size_t unary, std::size_t sign,
                        const LevelCosts& costs) const {
        std::int32_t best = near;
        double least = price(position, x, near, unary, sign, costs);
        for (std::int32_t level = -all; level <= all; ++level) consider(position, x, level, unary, sign, costs, best, least);
        return best;
    }
};

}  // namespace cabacus
