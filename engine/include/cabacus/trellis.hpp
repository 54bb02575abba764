// Dependent quantization: of all paths through the state machine, the one of least eta (x - m)^2 + c R, row by row.
//
// m is the multiple of the step that a level stands for in its state. The rates are those at the beginning of a group of
// rows; the running magnitude of a row, on which its contexts depend, is followed along a first guess of its levels.
// trellis_rows.hpp has the search itself.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/target.hpp"
#include "cabacus/level_encoder.hpp"
#include "cabacus/magnitudes.hpp"
#include "cabacus/quantizer.hpp"
#include "cabacus/trellis_rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cabacus {

// A guess of the levels: half of the nearest multiples. For first probabilities and for running magnitudes.
template <class Real>
struct HalvedLevels {
    static constexpr bool kNeedsCosts = false;
    static constexpr bool kByRows = false;
    static constexpr bool kKnown = false;

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
    static constexpr bool kKnown = true;

    // `levels` and `multiples` receive the result, both for every weight of the slice.
    Trellis(const WeightSlice<Real>& slice, const LevelCoding& coding, const LevelCosts& first_costs, std::int32_t* levels,
            std::int32_t* multiples, Form form = widest_form())
        : slice_(slice), coding_(coding), first_costs_(first_costs), levels_(levels), multiples_(multiples), form_(form) {
        for (auto& column : weights_.importance) column.fill(1.0f);
        for (auto& column : weights_.forbidden) column.fill(0);
    }

    template <class Walk>
    void begin_group(const SliceGeometry& geometry, std::size_t group, const Walk& walk, const LevelCosts& costs) {
        rates_ = group == 0 ? &first_costs_ : &costs;
        for (std::size_t context = 0; context < kClasses; ++context) {
            for (std::uint32_t level = 0; level < kNearRates; ++level) near_[context][level] = slow_rate(context, level);
        }
        const SliceGeometry::Group shape = geometry.group(group);
        for (int lane = 0; lane < shape.rows; lane += static_cast<int>(kTrellisRows)) {
            Block block{};
            block.rows = std::min(kTrellisRows, static_cast<std::size_t>(shape.rows - lane));
            block.begin = (group * static_cast<std::size_t>(geometry.lanes) + static_cast<std::size_t>(lane)) * geometry.row_width;
            block.row_width = geometry.row_width;
            block.columns = shape.columns;
            const bool last = lane + static_cast<int>(block.rows) == shape.rows;
            block.short_from = last ? std::min(shape.short_from, shape.columns) : shape.columns;
            for (std::size_t i = 0; i < block.rows; ++i) block.states[i] = walk.state(lane + static_cast<int>(i));
            in_form(form_, [&]() CABACUS_INLINE_LAMBDA { search(block, walk.magnitudes()); });
        }
    }

    const std::int32_t* levels() const { return levels_; }

  private:
    // Rows that are searched together.
    struct Block {
        std::size_t rows;
        std::size_t begin;  // the first row's first weight
        std::size_t row_width;
        std::size_t columns;
        std::size_t short_from;  // the column from which the last row has no weight
        std::array<std::uint8_t, kTrellisRows> states;
    };

    // c R of a magnitude and its sign.
    float slow_rate(std::size_t context, std::uint32_t level) const {
        const std::uint32_t bits = rates_->magnitude(context, level) + (level != 0 ? 1u << kCostBits : 0u);
        return static_cast<float>(slice_.rate_weight * (static_cast<double>(bits) / (1 << kCostBits)));
    }

    CABACUS_INLINE void search(const Block& block, const Magnitudes& magnitudes) {
        if (coding_.trellis == 4) {
            best_paths(paths4_, block, magnitudes);
        } else {
            best_paths(paths8_, block, magnitudes);
        }
    }

    template <int states>
    CABACUS_INLINE void best_paths(TrellisRows<states>& paths, const Block& block, const Magnitudes& magnitudes) {
        std::size_t rows = block.rows;
        paths.begin(block.states, block.columns, magnitudes.slice());
        forward(paths, block, rows, 0, block.short_from, magnitudes);
        const auto short_end = paths.best();
        forward(paths, block, rows - 1, block.short_from, block.columns, magnitudes);
        auto end = paths.best();
        backward(paths, block, rows - 1, block.short_from, block.columns, end);
        if (block.short_from < block.columns) end[rows - 1] = short_end[rows - 1];
        backward(paths, block, rows, 0, block.short_from, end);
    }

    template <int states>
    CABACUS_INLINE void forward(TrellisRows<states>& paths, const Block& block, std::size_t rows, std::size_t from, std::size_t to,
                                const Magnitudes& magnitudes) {
        for (std::size_t column = from; column < to; column += kTrellisTile) {
            const std::size_t count = std::min(kTrellisTile, to - column);
            load(block, rows, column, count);
            paths.advance(weights_, column, count, coding_, magnitudes, near_,
                          [this](std::size_t context, std::uint32_t level) { return slow_rate(context, level); });
        }
    }

    template <int states>
    CABACUS_INLINE void backward(const TrellisRows<states>& paths, const Block& block, std::size_t rows, std::size_t from,
                                 std::size_t to, std::array<std::uint32_t, kTrellisRows>& state) {
        while (to > from) {
            const std::size_t count = std::min(kTrellisTile, to - from);
            to -= count;
            paths.trace(to, count, state, level_tile_, multiple_tile_);
            for (std::size_t row = 0; row < rows; ++row) {
                const std::size_t position = block.begin + row * block.row_width + to;
                for (std::size_t c = 0; c < count; ++c) {
                    levels_[position + c] = level_tile_[c][row];
                    multiples_[position + c] = multiple_tile_[c][row];
                }
            }
        }
    }

    // The weights of a tile; where it has no row, zeros that cost nothing.
    CABACUS_INLINE void load(const Block& block, std::size_t rows, std::size_t column, std::size_t count) {
        weights_.bounded = slice_.max_error != 0.0;
        std::uint32_t greatest = 0;
        for (std::size_t row = 0; row < kTrellisRows; ++row) {
            alignas(64) std::array<std::uint32_t, kTrellisTile> whole{};
            alignas(64) std::array<float, kTrellisTile> fraction{};
            const std::size_t position = block.begin + row * block.row_width + column;
            if (row < rows) {
                for (std::size_t c = 0; c < count; ++c) {
                    const double x = slice_.scaled(position + c);
                    const auto cut = static_cast<std::int32_t>(std::abs(x));
                    fraction[c] = static_cast<float>(std::abs(x) - cut);
                    whole[c] = static_cast<std::uint32_t>(cut) | (x < 0.0 ? kNegative : 0u);
                    greatest = std::max(greatest, static_cast<std::uint32_t>(cut));
                }
            }
            for (std::size_t c = 0; c < kTrellisTile; ++c) {
                weights_.whole[c][row] = whole[c];
                weights_.fraction[c][row] = fraction[c];
            }
            if (slice_.eta != nullptr) {
                for (std::size_t c = 0; c < count; ++c) {
                    weights_.importance[c][row] = row < rows ? std::min(slice_.eta[position + c], kMostImportant) : 0.0f;
                }
            }
            if (weights_.bounded && row < rows) {
                for (std::size_t c = 0; c < count; ++c) weights_.forbidden[c][row] = forbidden(std::abs(slice_.scaled(position + c)));
            }
        }
        weights_.greatest = greatest;
    }

    // A bit for each choice whose error is above the bound.
    std::uint32_t forbidden(double magnitude) const {
        std::uint32_t bits = 0;
        for (int quantizer = 0; quantizer < 2; ++quantizer) {
            const auto low = static_cast<std::int32_t>((magnitude + quantizer) / 2);
            const std::array<std::int32_t, 3> levels = {low, low + 1, 0};
            const std::array<int, 3> choices = {kLow0 + 2 * quantizer, kHigh0 + 2 * quantizer, kZero0 + quantizer};
            for (std::size_t i = 0; i < levels.size(); ++i) {
                const double error = std::abs(magnitude - trellis_multiple(quantizer, levels[i]));
                bits |= static_cast<std::uint32_t>(error * slice_.step > slice_.max_error) << choices[i];
            }
        }
        return bits;
    }

    static constexpr std::uint32_t kNegative = ~TrellisRows<8>::kWhole;
    static constexpr float kMostImportant = 1e20f;  // that sums of prices stay finite

    const WeightSlice<Real>& slice_;
    const LevelCoding& coding_;
    const LevelCosts& first_costs_;
    std::int32_t* levels_;
    std::int32_t* multiples_;
    Form form_;
    const LevelCosts* rates_ = nullptr;
    alignas(64) NearRates near_{};
    TrellisWeights weights_;
    alignas(64) TrellisTile<std::int32_t> level_tile_;
    alignas(64) TrellisTile<std::int32_t> multiple_tile_;
    TrellisRows<4> paths4_;
    TrellisRows<8> paths8_;
};

// Rates to begin with, from the first weights of a slice: coded as a guess, then by the trellis itself.
template <class Real>
void train_trellis(const SliceGeometry& geometry, const LevelCoding& coding, const WeightSlice<Real>& slice, LevelCosts& costs,
                   Form form = widest_form()) {
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
        Trellis<Real> trellis(slice, coding, costs, levels.data(), multiples.data(), form);
        LevelMeter<Trellis<Real>> trained(sample, coding, trellis, kMakeCostWalk);
        trained.run();
        costs.refresh(trained.tables());
    }
}

}  // namespace cabacus
