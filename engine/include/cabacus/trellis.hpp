// Dependent quantization: of all paths through the state machine, the one of least eta (x - m)^2 + c R, row by row.
//
// m is the multiple of the step that a level stands for in its state. The rates are those at the beginning of a group of
// rows; the running magnitude of a row, on which its contexts depend, is followed along a first guess of its levels.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_encoder.hpp"
#include "cabacus/magnitudes.hpp"
#include "cabacus/quantizer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace cabacus {

// A guess of the levels: half of the nearest multiples. For first probabilities and for running magnitudes.
template <class Real>
struct HalvedLevels {
    static constexpr bool kNeedsCosts = false;
    static constexpr bool kByRows = false;

    const WeightSlice<Real>& slice;

    std::int32_t choose(std::size_t position, std::size_t, std::size_t, const LevelCosts&) const {
        return nearest(slice.scaled(position) / 2);
    }
};

template <class Real>
class Trellis {
  public:
    static constexpr bool kNeedsCosts = true;
    static constexpr bool kByRows = true;

    // `levels` and `multiples` receive the result, both for every weight of the slice.
    Trellis(const WeightSlice<Real>& slice, const LevelCoding& coding, const LevelCosts& first_costs, std::int32_t* levels,
            std::int32_t* multiples)
        : slice_(slice), coding_(coding), first_costs_(first_costs), levels_(levels), multiples_(multiples) {
        for (std::uint8_t state = 0; state < coding.trellis; ++state) {
            for (std::int32_t parity = 0; parity < 2; ++parity) {
                const std::uint8_t next = trellis_next(coding.trellis, state, parity);
                into_[next][filled_[next]++] = {state, static_cast<std::uint8_t>(parity)};
            }
        }
    }

    template <class Walk>
    void begin_group(const SliceGeometry& geometry, std::size_t group, const Walk& walk, const LevelCosts& costs) {
        const LevelCosts& rates = group == 0 ? first_costs_ : costs;
        const int rows = geometry.group_rows(group);
        for (int lane = 0; lane < rows; ++lane) {
            const std::size_t row = group * static_cast<std::size_t>(geometry.lanes) + static_cast<std::size_t>(lane);
            const std::size_t begin = row * geometry.row_width;
            solve(begin, std::min(geometry.row_width, geometry.weights - begin), walk.state(lane), walk.magnitudes(), rates);
        }
    }

    std::int32_t choose(std::size_t position, std::size_t, std::size_t, const LevelCosts&) const { return levels_[position]; }

  private:
    static constexpr double kNever = std::numeric_limits<double>::infinity();
    static constexpr double kForbidden = 1e30;  // an error above the bound: worse than anything else, yet comparable

    struct Step {  // how a state was reached
        std::uint8_t from;
        std::uint8_t parity;
        bool zero;
    };
    struct Edge {
        std::uint8_t from;
        std::uint8_t parity;
    };
    // The levels at hand in one quantizer, by parity: the two nearest ones, and their costs.
    struct Choice {
        std::array<std::uint32_t, 2> level;
        std::array<double, 2> price;
        bool zero_is_best;  // zero is better than the even level
    };

    static std::uint32_t multiple(int quantizer, std::uint32_t level) { return 2 * level - (quantizer != 0 && level != 0); }

    static std::uint32_t lower(int quantizer, double magnitude) {
        return static_cast<std::uint32_t>((magnitude + quantizer) / 2);
    }

    Choice choice(int quantizer, double magnitude, double importance, std::size_t context, const LevelCosts& rates) const {
        const auto price = [&](std::uint32_t level) {
            const double error = magnitude - multiple(quantizer, level);
            const bool forbidden = slice_.max_error != 0.0 && std::abs(error) * slice_.step > slice_.max_error;
            const std::uint32_t bits = rates.magnitude(context, level) + (level != 0 ? 1u << kCostBits : 0u);
            return importance * (error * error) + slice_.rate_weight * (static_cast<double>(bits) / (1 << kCostBits)) +
                   (forbidden ? kForbidden : 0.0);
        };
        Choice made{};
        const std::uint32_t below = lower(quantizer, magnitude);
        for (const std::uint32_t level : {below, below + 1}) {
            made.level[level & 1] = level;
            made.price[level & 1] = price(level);
        }
        made.zero_is_best = false;
        if (made.level[0] != 0) {
            const double zero = price(0);
            if (zero < made.price[0]) {
                made.price[0] = zero;
                made.zero_is_best = true;
            }
        }
        return made;
    }

    void solve(std::size_t begin, std::size_t width, std::uint8_t state, const Magnitudes& magnitudes, const LevelCosts& rates) {
        steps_.resize(width);
        std::array<double, kMaxStates> costs;
        costs.fill(kNever);
        costs[state] = 0.0;
        std::int32_t running = magnitudes.slice();
        std::int32_t left = 0;
        for (std::size_t column = 0; column < width; ++column) {
            const double x = slice_.scaled(begin + column);
            const double magnitude = std::abs(x);
            const auto context = static_cast<std::size_t>(2 * row_class(running, left, column, magnitudes));
            const double importance = slice_.importance(begin + column);
            const std::array<Choice, 2> choices{choice(0, magnitude, importance, context, rates),
                                                choice(1, magnitude, importance, context + 1, rates)};
            costs = advance(costs, choices, steps_[column]);
            left = nearest(x / 2);
            running += ((capped(left) << kMagnitudeBits) - running) >> magnitudes.row_shift(column);
        }
        trace(begin, width, costs);
    }

    int row_class(std::int32_t running, std::int32_t left, std::size_t column, const Magnitudes& magnitudes) const {
        if (coding_.context == kPaper) return left == 0 ? 0 : left < 0 ? 1 : 2;
        const int row = magnitudes.uses_rows() ? octave_eighths(running) : 0;
        return magnitude_class(coding_, magnitudes.step_term(column) + row);
    }

    std::array<double, kMaxStates> advance(const std::array<double, kMaxStates>& before, const std::array<Choice, 2>& choices,
                                           std::array<Step, kMaxStates>& how) const {
        std::array<double, kMaxStates> after;
        after.fill(kNever);
        for (std::size_t state = 0; state < coding_.trellis; ++state) {
            for (const Edge edge : into_[state]) {
                const Choice& made = choices[static_cast<std::size_t>(trellis_quantizer(coding_.trellis, edge.from))];
                const double price = before[edge.from] + made.price[edge.parity];
                if (price < after[state]) {
                    after[state] = price;
                    how[state] = {edge.from, edge.parity, edge.parity == 0 && made.zero_is_best};
                }
            }
        }
        return after;
    }

    void trace(std::size_t begin, std::size_t width, const std::array<double, kMaxStates>& costs) {
        auto state = static_cast<std::size_t>(std::min_element(costs.begin(), costs.begin() + coding_.trellis) - costs.begin());
        for (std::size_t column = width; column-- > 0;) {
            const Step step = steps_[column][state];
            const int quantizer = trellis_quantizer(coding_.trellis, step.from);
            const double x = slice_.scaled(begin + column);
            const std::uint32_t below = lower(quantizer, std::abs(x));
            const std::uint32_t level = step.zero ? 0 : below + ((below & 1) != step.parity);
            const auto signed_level = static_cast<std::int32_t>(level);
            levels_[begin + column] = x < 0 ? -signed_level : signed_level;
            multiples_[begin + column] = trellis_multiple(quantizer, levels_[begin + column]);
            state = step.from;
        }
    }

    const WeightSlice<Real>& slice_;
    const LevelCoding& coding_;
    const LevelCosts& first_costs_;
    std::int32_t* levels_;
    std::int32_t* multiples_;
    std::array<std::array<Edge, 2>, kMaxStates> into_{};
    std::array<std::size_t, kMaxStates> filled_{};
    std::vector<std::array<Step, kMaxStates>> steps_;
};

// Rates to begin with, from the first weights of a slice: coded as a guess, then by the trellis itself.
template <class Real>
void train_trellis(const SliceGeometry& geometry, const LevelCoding& coding, const WeightSlice<Real>& slice, LevelCosts& costs) {
    constexpr std::size_t kSample = std::size_t{1} << 16;
    SliceGeometry sample = geometry;
    const std::size_t group = geometry.row_width * static_cast<std::size_t>(geometry.lanes);
    sample.weights = std::min(geometry.weights, std::max<std::size_t>(1, kSample / group) * group);
    CostMeter meter;
    HalvedLevels<Real> guess{slice};
    LevelEncoder<HalvedLevels<Real>, CostMeter> guessed(sample, coding, guess, meter);
    guessed.run();
    costs.refresh(guessed.tables());
    std::vector<std::int32_t> levels(sample.weights);
    std::vector<std::int32_t> multiples(sample.weights);
    for (int round = 0; round < 2; ++round) {
        Trellis<Real> trellis(slice, coding, costs, levels.data(), multiples.data());
        LevelEncoder<Trellis<Real>, CostMeter> trained(sample, coding, trellis, meter);
        trained.run();
        costs.refresh(trained.tables());
    }
}

}  // namespace cabacus
