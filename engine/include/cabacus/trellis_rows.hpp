// The search of the trellis through sixteen rows at once. Its loops over rows are compiled for each processor, which takes
// them for vectors; they add, multiply and compare float32 in the same order on all, and so choose the same levels.
#pragma once

#include "cabacus/dependent_states.hpp"
#include "cabacus/inline.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/magnitudes.hpp"
#include "cabacus/probability.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace cabacus {

inline constexpr std::size_t kTrellisRows = kRowSize;
inline constexpr std::size_t kTrellisTile = 16;  // columns that are looked at together

template <class T>
using TrellisTile = std::array<std::array<T, kTrellisRows>, kTrellisTile>;

// How a state is reached: by two edges, from a state by an even or an odd level.
struct TrellisEdge {
    std::uint8_t from;
    std::uint8_t parity;
};

template <int states>
constexpr std::array<std::array<TrellisEdge, 2>, states> trellis_edges() {
    std::array<std::array<TrellisEdge, 2>, states> edges{};
    std::array<std::size_t, states> filled{};
    for (std::uint8_t state = 0; state < states; ++state) {
        for (std::uint8_t parity = 0; parity < 2; ++parity) {
            const std::size_t next = trellis_next(states, state, parity);
            edges[next][filled[next]++] = {state, parity};
        }
    }
    return edges;
}

// One of the two edges into each state, four bits a state: where it comes from, and 8 for an odd level.
template <int states>
constexpr std::uint32_t packed_edges(std::size_t which) {
    std::uint32_t packed = 0;
    for (std::size_t state = 0; state < states; ++state) {
        const TrellisEdge edge = trellis_edges<states>()[state][which];
        packed |= (edge.from | static_cast<std::uint32_t>(edge.parity) << 3) << (4 * state);
    }
    return packed;
}

// What c R is for the magnitudes near zero, signs included, by context; others are asked for one by one.
inline constexpr std::size_t kNearRates = 32;
using NearRates = std::array<std::array<float, kNearRates>, kRowSize>;

// The weights of a tile, column by column. |w| / step is a whole part and a fraction in [0, 1].
struct TrellisWeights {
    alignas(64) TrellisTile<std::uint32_t> whole;  // the sign in the highest bit
    alignas(64) TrellisTile<float> fraction;
    alignas(64) TrellisTile<float> importance;
    alignas(64) TrellisTile<std::uint32_t> forbidden;  // a bit for each of kChoices whose error is above the bound
    std::uint32_t greatest;                            // whole part
    bool bounded;
};

// What a quantizer may choose: the multiples below and above, or zero; first those of the even quantizer.
enum TrellisChoice { kLow0, kHigh0, kLow1, kHigh1, kZero0, kZero1, kChoices };

template <int states>
class TrellisRows {
  public:
    using Lane = std::array<float, kTrellisRows>;

    // Rows whose coding begins in these states, no more than `columns` long.
    CABACUS_INLINE void begin(const std::array<std::uint8_t, kTrellisRows>& from, std::size_t columns, std::int32_t magnitude) {
        whole_.resize(columns);
        steps_.resize(columns);
        running_.fill(magnitude);
        side_.fill(0);
        for (std::size_t state = 0; state < states; ++state) {
            for (std::size_t i = 0; i < kTrellisRows; ++i) costs_[state][i] = from[i] == state ? 0.0f : kNever;
        }
    }

    // Goes on through `count` columns. `slow_rate(context, level)` gives a rate that is not near zero.
    template <class SlowRate>
    CABACUS_INLINE void advance(const TrellisWeights& weights, std::size_t column, std::size_t count, const LevelCoding& coding,
                                const Magnitudes& magnitudes, const NearRates& near, const SlowRate& slow_rate) {
        const bool far = weights.greatest / 2 + 2 >= kNearRates;
        for (std::size_t c = 0; c < count; ++c) {
            whole_[column + c] = weights.whole[c];
            contexts(weights.whole[c], coding, magnitudes, column + c);
            if (far) {
                far_rates(weights.whole[c], slow_rate);
            } else {
                near_rates(weights.whole[c], near);
            }
            if (weights.bounded) forbid(weights.forbidden[c]);
            step(weights, c, steps_[column + c]);
        }
        lower_costs();
    }

    // The state in which the best path of each row ends here.
    CABACUS_INLINE std::array<std::uint32_t, kTrellisRows> best() const {
        std::array<std::uint32_t, kTrellisRows> states_of;
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            std::uint32_t least = 0;
            for (std::uint32_t state = 1; state < states; ++state) {
                if (costs_[state][i] < costs_[least][i]) least = state;
            }
            states_of[i] = least;
        }
        return states_of;
    }

    // Goes back through `count` columns along the best paths, of which `state` are the ends: the levels and multiples.
    CABACUS_INLINE void trace(std::size_t column, std::size_t count, std::array<std::uint32_t, kTrellisRows>& state,
                              TrellisTile<std::int32_t>& levels, TrellisTile<std::int32_t>& multiples) const {
        constexpr std::uint32_t first = packed_edges<states>(0);
        constexpr std::uint32_t second = packed_edges<states>(1);
        for (std::size_t c = count; c-- > 0;) {
            const auto& steps = steps_[column + c];
            const auto& cells = whole_[column + c];
            for (std::size_t i = 0; i < kTrellisRows; ++i) {
                const std::uint32_t by = ((steps[i] >> state[i] & 1u) != 0 ? second : first) >> (4 * state[i]);
                const std::uint32_t from = by & 7u;
                const std::uint32_t parity = by >> 3 & 1u;
                // What trellis_quantizer and trellis_multiple say; by those the loop would be a fifth of the whole slower.
                const std::uint32_t quantizer = states == 4 ? from >> 1 : from & 1u;
                const std::uint32_t below = ((cells[i] & kWhole) + quantizer) >> 1;
                const bool zero = (steps[i] >> (8 + quantizer) & ~parity & 1u) != 0;
                const std::uint32_t magnitude = zero ? 0 : below + ((below ^ parity) & 1u);
                const auto level = static_cast<std::int32_t>(magnitude);
                const auto multiple = static_cast<std::int32_t>(2 * magnitude - (magnitude != 0 ? quantizer : 0));
                const bool negative = cells[i] > kWhole;
                levels[c][i] = negative ? -level : level;
                multiples[c][i] = negative ? -multiple : multiple;
                state[i] = from;
            }
        }
    }

    static constexpr std::uint32_t kWhole = 0x7FFFFFFF;

  private:
    static constexpr std::array<std::array<TrellisEdge, 2>, states> kEdges = trellis_edges<states>();
    static constexpr float kNever = std::numeric_limits<float>::infinity();
    static constexpr float kForbidden = 1e30f;  // an error above the bound: worse than anything else, yet comparable

    // Where the rates of each row lie, by its running magnitude or left neighbour. These follow a first guess of the levels:
    // half of the nearest multiples.
    CABACUS_INLINE void contexts(const std::array<std::uint32_t, kTrellisRows>& whole, const LevelCoding& coding,
                                 const Magnitudes& magnitudes, std::size_t column) {
        const int term = magnitudes.step_term(column);
        const int shift = magnitudes.row_shift(column);
        const int rows = magnitudes.uses_rows() ? -1 : 0;
        const bool paper = coding.context == kPaper;
        const int floor = coding.class_floor;
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            const auto guess = static_cast<std::int32_t>(((whole[i] & kWhole) + 1) >> 1);
            const int by_magnitude = magnitude_class(term + (octave_eighths(running_[i]) & rows), floor, true);
            context_[i] = static_cast<std::uint32_t>(2 * (paper ? side_[i] : by_magnitude));
            running_[i] += ((std::min(guess, kMagnitudeCap) << kMagnitudeBits) - running_[i]) >> shift;
            side_[i] = guess == 0 ? 0 : whole[i] > kWhole ? 1 : 2;
        }
    }

    CABACUS_INLINE void near_rates(const std::array<std::uint32_t, kTrellisRows>& whole, const NearRates& near) {
        const float* rates = near[0].data();
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            const auto even = static_cast<std::int32_t>(context_[i] * kNearRates);
            const auto odd = even + static_cast<std::int32_t>(kNearRates);
            const auto low0 = even + static_cast<std::int32_t>((whole[i] & kWhole) >> 1);
            const auto low1 = odd + static_cast<std::int32_t>(((whole[i] & kWhole) + 1) >> 1);
            rates_[kLow0][i] = rates[low0];
            rates_[kHigh0][i] = rates[low0 + 1];
            rates_[kLow1][i] = rates[low1];
            rates_[kHigh1][i] = rates[low1 + 1];
            rates_[kZero0][i] = rates[even];
            rates_[kZero1][i] = rates[odd];
        }
    }

    template <class SlowRate>
    void far_rates(const std::array<std::uint32_t, kTrellisRows>& whole, const SlowRate& slow_rate) {
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            for (std::uint32_t quantizer = 0; quantizer < 2; ++quantizer) {
                const std::size_t context = context_[i] + quantizer;
                const std::uint32_t low = ((whole[i] & kWhole) + quantizer) >> 1;
                rates_[kLow0 + 2 * quantizer][i] = slow_rate(context, low);
                rates_[kHigh0 + 2 * quantizer][i] = slow_rate(context, low + 1);
                rates_[kZero0 + quantizer][i] = slow_rate(context, 0);
            }
        }
    }

    void forbid(const std::array<std::uint32_t, kTrellisRows>& forbidden) {
        for (std::size_t choice = 0; choice < kChoices; ++choice) {
            for (std::size_t i = 0; i < kTrellisRows; ++i) rates_[choice][i] += (forbidden[i] >> choice & 1u) != 0 ? kForbidden : 0.0f;
        }
    }

    // Prices of the best even and odd level in each quantizer, and by them the lesser of two paths into each state. A step
    // has a bit for each state whose second edge that is, and 256 or 512 where zero is the even level of a quantizer.
    CABACUS_INLINE void step(const TrellisWeights& weights, std::size_t c, std::array<std::uint32_t, kTrellisRows>& steps) {
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            const std::uint32_t whole = weights.whole[c][i] & kWhole;
            const float fraction = weights.fraction[c][i];
            const float importance = weights.importance[c][i];
            const float odd = (whole & 1u) != 0 ? 1.0f : 0.0f;
            const float error0 = fraction + odd;
            const float error1 = fraction + (1.0f - odd);
            const float low1_error = whole == 0 ? fraction : error1;  // zero lies below one
            const float magnitude = static_cast<float>(static_cast<std::int32_t>(whole)) + fraction;
            const float zero = std::min(importance * (magnitude * magnitude), kForbidden);
            const float low0 = importance * (error0 * error0) + rates_[kLow0][i];
            const float high0 = importance * ((2.0f - error0) * (2.0f - error0)) + rates_[kHigh0][i];
            const float low1 = importance * (low1_error * low1_error) + rates_[kLow1][i];
            const float high1 = importance * ((2.0f - error1) * (2.0f - error1)) + rates_[kHigh1][i];
            const bool low0_is_odd = (whole & 2u) != 0;
            const bool low1_is_odd = ((whole + 1) & 2u) != 0;
            const float even0 = low0_is_odd ? high0 : low0;
            const float even1 = low1_is_odd ? high1 : low1;
            const float zero0 = zero + rates_[kZero0][i];
            const float zero1 = zero + rates_[kZero1][i];
            // By quantizer and parity.
            const float prices[4] = {std::min(even0, zero0), low0_is_odd ? low0 : high0, std::min(even1, zero1), low1_is_odd ? low1 : high1};
            std::uint32_t made = (zero0 < even0 ? 256u : 0u) | (zero1 < even1 ? 512u : 0u);
            float before[states];
#pragma GCC unroll 8
            for (int state = 0; state < states; ++state) before[state] = costs_[static_cast<std::size_t>(state)][i];
#pragma GCC unroll 8
            for (int state = 0; state < states; ++state) {
                const TrellisEdge one = kEdges[static_cast<std::size_t>(state)][0];
                const TrellisEdge two = kEdges[static_cast<std::size_t>(state)][1];
                const float first = before[one.from] + prices[2 * trellis_quantizer(states, one.from) + one.parity];
                const float second = before[two.from] + prices[2 * trellis_quantizer(states, two.from) + two.parity];
                costs_[static_cast<std::size_t>(state)][i] = std::min(first, second);
                made |= second < first ? 1u << state : 0u;
            }
            steps[i] = made;
        }
    }

    // Takes from all costs of a row what the least of them is: sums stay small, and exact enough.
    CABACUS_INLINE void lower_costs() {
        for (std::size_t i = 0; i < kTrellisRows; ++i) {
            float least = costs_[0][i];
            for (std::size_t state = 1; state < states; ++state) least = std::min(least, costs_[state][i]);
            for (std::size_t state = 0; state < states; ++state) costs_[state][i] -= least;
        }
    }

    alignas(64) std::array<Lane, states> costs_;
    alignas(64) std::array<Lane, kChoices> rates_;
    alignas(64) std::array<std::int32_t, kTrellisRows> running_;
    alignas(64) std::array<std::int32_t, kTrellisRows> side_;  // of the left neighbour: 0 zero, 1 below, 2 above
    alignas(64) std::array<std::uint32_t, kTrellisRows> context_;
    std::vector<std::array<std::uint32_t, kTrellisRows>> whole_;
    std::vector<std::array<std::uint32_t, kTrellisRows>> steps_;
};

}  // namespace cabacus
