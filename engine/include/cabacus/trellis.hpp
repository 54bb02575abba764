// Dependent quantization: of all paths through the state machine, the one of least eta (x - m)^2 + c R, row by row.
//
// m is the multiple of the step that a level stands for in its state. The rates are those at the beginning of a group of
// rows; the running magnitude of a row, on which its contexts depend, is followed along a first guess of its levels.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/target.hpp"
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

#if CABACUS_X86_LANES
#include <emmintrin.h>
#endif

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

template <class Real>
class Trellis {
  public:
    static constexpr bool kNeedsCosts = true;
    static constexpr bool kByRows = true;

    // `levels` and `multiples` receive the result, both for every weight of the slice.
    Trellis(const WeightSlice<Real>& slice, const LevelCoding& coding, const LevelCosts& first_costs, std::int32_t* levels,
            std::int32_t* multiples)
        : slice_(slice), coding_(coding), first_costs_(first_costs), levels_(levels), multiples_(multiples) {}

    template <class Walk>
    void begin_group(const SliceGeometry& geometry, std::size_t group, const Walk& walk, const LevelCosts& costs) {
        rates_ = group == 0 ? &first_costs_ : &costs;
        for (std::size_t context = 0; context < kClasses; ++context) {
            for (std::uint32_t level = 0; level < kNear; ++level) near_[context][level] = slow_rate(context, level);
        }
        const int rows = geometry.group_rows(group);
        for (int lane = 0; lane < rows; ++lane) {
            const std::size_t row = group * static_cast<std::size_t>(geometry.lanes) + static_cast<std::size_t>(lane);
            const std::size_t begin = row * geometry.row_width;
            const std::size_t width = std::min(geometry.row_width, geometry.weights - begin);
            if (coding_.trellis == 4) {
                solve<4>(begin, width, walk.state(lane), walk.magnitudes());
            } else {
                solve<8>(begin, width, walk.state(lane), walk.magnitudes());
            }
        }
    }

    std::int32_t choose(std::size_t position, std::size_t, std::size_t, const LevelCosts&) const { return levels_[position]; }

  private:
    static constexpr double kNever = std::numeric_limits<double>::infinity();
    static constexpr double kForbidden = 1e30;  // an error above the bound: worse than anything else, yet comparable
    static constexpr std::uint32_t kNear = 16;  // levels whose rates are looked up

    // Prices of the best even and odd level in one quantizer: of the two nearest ones, or of zero for the even one.
    struct Choice {
        std::array<double, 2> price;
        bool zero;  // zero is better than the even level nearby
    };
    // How each state was reached at a column: a bit a state, the second edge or the first; and Choice::zero by quantizer.
    struct Step {
        std::uint8_t second;
        std::uint8_t zero;
    };

    static std::uint32_t multiple(int quantizer, std::uint32_t level) {
        return 2 * level - static_cast<std::uint32_t>(quantizer != 0 && level != 0);
    }
    static std::uint32_t lower(int quantizer, double magnitude) {
        return static_cast<std::uint32_t>((magnitude + quantizer) / 2);
    }

    // c R of a magnitude and its sign.
    double slow_rate(std::size_t context, std::uint32_t level) const {
        const std::uint32_t bits = rates_->magnitude(context, level) + (level != 0 ? 1u << kCostBits : 0u);
        return slice_.rate_weight * (static_cast<double>(bits) / (1 << kCostBits));
    }
    double rate(std::size_t context, std::uint32_t level) const {
        return level < kNear ? near_[context][level] : slow_rate(context, level);
    }

    double price(int quantizer, double magnitude, double importance, std::size_t context, std::uint32_t level) const {
        const double error = magnitude - multiple(quantizer, level);
        const bool forbidden = slice_.max_error != 0.0 && std::abs(error) * slice_.step > slice_.max_error;
        return importance * (error * error) + rate(context, level) + (forbidden ? kForbidden : 0.0);
    }

    Choice choice(int quantizer, double magnitude, double importance, std::size_t context) const {
        const std::uint32_t below = lower(quantizer, magnitude);
        const double one = price(quantizer, magnitude, importance, context, below);
        const double other = price(quantizer, magnitude, importance, context, below + 1);
        Choice made{};
        made.price[below & 1u] = one;  // by index: parities are not to be foreseen
        made.price[~below & 1u] = other;
        const double zero = price(quantizer, magnitude, importance, context, 0);
        made.zero = zero < made.price[0];
        made.price[0] = std::min(zero, made.price[0]);
        return made;
    }

    template <int states>
    void solve(std::size_t begin, std::size_t width, std::uint8_t state, const Magnitudes& magnitudes) {
        steps_.resize(width);
        std::array<double, states> costs;
        costs.fill(kNever);
        costs[state] = 0.0;
        std::int32_t running = magnitudes.slice();
        std::int32_t left = 0;
        for (std::size_t column = 0; column < width; ++column) {
            const double x = slice_.scaled(begin + column);
            const auto context = static_cast<std::size_t>(2 * row_class(running, left, column, magnitudes));
            const double importance = slice_.importance(begin + column);
            const Choice even = choice(0, std::abs(x), importance, context);
            const Choice odd = choice(1, std::abs(x), importance, context + 1);
            steps_[column] = {advance<states>(costs, even, odd),
                              static_cast<std::uint8_t>(static_cast<int>(even.zero) | static_cast<int>(odd.zero) << 1)};
            left = nearest(x / 2);
            running += ((capped(left) << kMagnitudeBits) - running) >> magnitudes.row_shift(column);
        }
        const auto best = std::min_element(costs.begin(), costs.end()) - costs.begin();
        trace<states>(begin, width, static_cast<std::size_t>(best));
    }

    int row_class(std::int32_t running, std::int32_t left, std::size_t column, const Magnitudes& magnitudes) const {
        if (coding_.context == kPaper) return left == 0 ? 0 : left < 0 ? 1 : 2;
        const int row = magnitudes.uses_rows() ? octave_eighths(running) : 0;
        return magnitude_class(coding_, magnitudes.step_term(column) + row);
    }

    template <int states>
    static std::uint8_t advance(std::array<double, states>& costs, const Choice& even, const Choice& odd) {
        constexpr auto edges = trellis_edges<states>();
        // By state: the price of its first edge and of its second.
        alignas(16) std::array<double, states> first;
        alignas(16) std::array<double, states> other;
#pragma GCC unroll 8
        for (std::size_t state = 0; state < states; ++state) {
            first[state] = costs[edges[state][0].from] + price_of<states>(edges[state][0], even, odd);
            other[state] = costs[edges[state][1].from] + price_of<states>(edges[state][1], even, odd);
        }
        return keep_best(costs, first, other);
    }

    template <int states>
    static double price_of(TrellisEdge edge, const Choice& even, const Choice& odd) {
        return (trellis_quantizer(states, edge.from) == 0 ? even : odd).price[edge.parity];
    }

    // The lesser of two prices for each state, without a branch. Returns a bit for each state whose second one it is.
    template <std::size_t states>
    static std::uint8_t keep_best(std::array<double, states>& costs, const std::array<double, states>& first,
                                  const std::array<double, states>& other) {
        unsigned second = 0;
#if CABACUS_X86_LANES
#pragma GCC unroll 4
        for (std::size_t state = 0; state < states; state += 2) {
            const __m128d a = _mm_load_pd(&first[state]);
            const __m128d b = _mm_load_pd(&other[state]);
            second |= static_cast<unsigned>(_mm_movemask_pd(_mm_cmplt_pd(b, a))) << state;
            _mm_storeu_pd(&costs[state], _mm_min_pd(b, a));
        }
#else
        for (std::size_t state = 0; state < states; ++state) {
            second |= static_cast<unsigned>(other[state] < first[state]) << state;
            costs[state] = std::min(other[state], first[state]);
        }
#endif
        return static_cast<std::uint8_t>(second);
    }

    template <int states>
    void trace(std::size_t begin, std::size_t width, std::size_t state) {
        constexpr auto edges = trellis_edges<states>();
        for (std::size_t column = width; column-- > 0;) {
            const Step step = steps_[column];
            const TrellisEdge edge = edges[state][step.second >> state & 1u];
            const int quantizer = trellis_quantizer(states, edge.from);
            const double x = slice_.scaled(begin + column);
            const std::uint32_t below = lower(quantizer, std::abs(x));
            const bool zero = edge.parity == 0 && (step.zero >> quantizer & 1) != 0;
            const auto level = static_cast<std::int32_t>(zero ? 0 : below + ((below & 1u) != edge.parity));
            levels_[begin + column] = x < 0 ? -level : level;
            multiples_[begin + column] = trellis_multiple(quantizer, levels_[begin + column]);
            state = edge.from;
        }
    }

    const WeightSlice<Real>& slice_;
    const LevelCoding& coding_;
    const LevelCosts& first_costs_;
    std::int32_t* levels_;
    std::int32_t* multiples_;
    const LevelCosts* rates_ = nullptr;
    std::array<std::array<double, kNear>, kClasses> near_{};
    std::vector<Step> steps_;
};

// Rates to begin with, from the first weights of a slice: coded as a guess, then by the trellis itself.
template <class Real>
void train_trellis(const SliceGeometry& geometry, const LevelCoding& coding, const WeightSlice<Real>& slice, LevelCosts& costs) {
    constexpr std::size_t kSample = std::size_t{1} << 15;
    SliceGeometry sample = geometry;
    const std::size_t group = geometry.row_width * static_cast<std::size_t>(geometry.lanes);
    sample.weights = std::min(geometry.weights, std::max<std::size_t>(1, kSample / group) * group);
    HalvedLevels<Real> guess{slice};
    LevelMeter<HalvedLevels<Real>> guessed(sample, coding, guess, kMakeCostWalk);
    guessed.run();
    costs.refresh(guessed.tables());
    std::vector<std::int32_t> levels(sample.weights);
    std::vector<std::int32_t> multiples(sample.weights);
    for (int round = 0; round < 2; ++round) {
        Trellis<Real> trellis(slice, coding, costs, levels.data(), multiples.data());
        LevelMeter<Trellis<Real>> trained(sample, coding, trellis, kMakeCostWalk);
        trained.run();
        costs.refresh(trained.tables());
    }
}

}  // namespace cabacus
