// The trellis finds the least error of all paths, obeys its state machine, and trades error for bits.
#include "cabacus/trellis.hpp"

#include "cabacus/lanes/decode.hpp"
#include "cabacus/lanes/encode.hpp"
#include "check.hpp"
#include "streams.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

using cabacus::Form;
using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using cabacus::trellis_multiple;
using cabacus::trellis_next;
using cabacus::trellis_quantizer;
using cabacus::WeightSlice;
using streams::Random;

namespace {

using Levels = std::vector<std::int32_t>;

struct Found {
    Levels levels;
    Levels multiples;
    std::uint64_t bytes;
};

LevelCoding coding_of(int states, int lanes_log2 = 0, int context = 3) {
    LevelCoding coding;
    coding.flags = 4;
    coding.prefixes = 8;
    coding.width = 20;
    coding.context = static_cast<std::uint8_t>(context);
    coding.row_shift = 4;
    coding.column_shift = 3;
    coding.trellis = static_cast<std::uint8_t>(states);
    coding.lanes_log2 = static_cast<std::uint8_t>(lanes_log2);
    return coding;
}

Found quantized(const SliceGeometry& geometry, const LevelCoding& coding, const WeightSlice<double>& slice,
                Form form = cabacus::widest_form()) {
    const cabacus::Binarization bins(coding);
    cabacus::LevelCosts costs(bins);
    cabacus::train_trellis(geometry, coding, slice, costs, form);
    Found found{Levels(geometry.weights), Levels(geometry.weights), 0};
    cabacus::Trellis<double> source(slice, coding, costs, found.levels.data(), found.multiples.data(), form);
    found.bytes = cabacus::measure_slice(geometry, coding, source);
    return found;
}

double squared_error(const std::vector<double>& weights, const WeightSlice<double>& slice, const Levels& multiples) {
    double sum = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const double error = weights[i] / slice.step - multiples[i];
        sum += slice.importance(i) * error * error;
    }
    return sum;
}

// The least sum of errors over every path from a state.
double least_error(const std::vector<double>& weights, const WeightSlice<double>& slice, int states, std::size_t at,
                   std::uint8_t state) {
    if (at == weights.size()) return 0.0;
    double least = std::numeric_limits<double>::infinity();
    const double x = weights[at] / slice.step;
    const auto middle = static_cast<std::int32_t>(std::lround(x / 2));
    for (std::int32_t level = middle - 2; level <= middle + 2; ++level) {
        const double error = x - trellis_multiple(trellis_quantizer(states, state), level);
        const double rest = least_error(weights, slice, states, at + 1, trellis_next(states, state, level));
        least = std::min(least, slice.importance(at) * error * error + rest);
    }
    return least;
}

std::vector<double> some_weights(Random& random, std::size_t count, double scale) {
    std::vector<double> weights(count);
    for (double& weight : weights) weight = scale * (random.unit() + random.unit() + random.unit() - 1.5);
    return weights;
}

}  // namespace

TEST(two_edges_lead_into_every_state) {
    const auto check = [](const auto& edges, int states) {
        for (std::size_t state = 0; state < edges.size(); ++state) {
            for (const cabacus::TrellisEdge edge : edges[state]) {
                CHECK_EQUAL(std::size_t{trellis_next(states, edge.from, edge.parity)}, state);
            }
            CHECK(edges[state][0].from != edges[state][1].from);
        }
    };
    check(cabacus::trellis_edges<4>(), 4);
    check(cabacus::trellis_edges<8>(), 8);
}

TEST(multiples_are_even_or_odd_and_of_the_levels_sign) {
    for (std::int32_t level = -9; level <= 9; ++level) {
        CHECK_EQUAL(trellis_multiple(0, level), 2 * level);
        CHECK_EQUAL(trellis_multiple(1, level), level == 0 ? 0 : level > 0 ? 2 * level - 1 : 2 * level + 1);
    }
    CHECK_EQUAL(trellis_multiple(0, -cabacus::kMaxTrellisLevel), -2 * cabacus::kMaxTrellisLevel);
    CHECK_EQUAL(trellis_next(8, 3, -1), trellis_next(8, 3, 1));
}

TEST(every_form_chooses_the_same_levels) {
    Random random(11);
    for (const int states : {4, 8}) {
        for (const int lanes_log2 : {0, 3, 5}) {
            for (const double scale : {0.5, 6.0, 1e5}) {
                const LevelCoding coding = coding_of(states, lanes_log2, static_cast<int>(random.below(4)));
                const SliceGeometry geometry{1 + random.below(4000), 1 + random.below(90), coding.lanes()};
                const std::vector<double> weights = some_weights(random, geometry.weights, scale);
                std::vector<float> eta(weights.size());
                for (float& one : eta) one = static_cast<float>(0.1 + random.unit());
                const double bound = random.below(2) == 0 ? 0.0 : 0.6;
                const WeightSlice<double> slice{weights.data(), random.below(2) == 0 ? nullptr : eta.data(), 0.5, 0.1, bound};
                const Found here = quantized(geometry, coding, slice, Form::portable);
                for (const Form form : cabacus::kForms) {
                    if (!cabacus::runs(form)) continue;
                    const Found there = quantized(geometry, coding, slice, form);
                    CHECK(here.levels == there.levels);
                    CHECK(here.multiples == there.multiples);
                    CHECK_EQUAL(here.bytes, there.bytes);
                }
            }
        }
    }
}

TEST(without_rates_no_path_has_a_lesser_error) {
    Random random(12);
    for (int trial = 0; trial < 60; ++trial) {
        const int states = trial % 2 == 0 ? 4 : 8;
        const std::vector<double> weights = some_weights(random, 1 + random.below(6), 3.0);
        std::vector<float> eta(weights.size());
        for (float& one : eta) one = static_cast<float>(0.1 + random.unit());
        const WeightSlice<double> slice{weights.data(), trial % 3 == 0 ? nullptr : eta.data(), 0.5, 0.0, 0.0};
        const Found found = quantized({weights.size(), weights.size(), 1}, coding_of(states), slice);
        const double least = least_error(weights, slice, states, 0, 0);
        CHECK(std::abs(squared_error(weights, slice, found.multiples) - least) < 1e-5);
    }
}

TEST(a_short_last_row_is_searched_to_its_own_end) {
    Random random(16);
    for (int trial = 0; trial < 20; ++trial) {
        const std::vector<double> weights = some_weights(random, 8 + 1 + random.below(7), 3.0);
        const WeightSlice<double> slice{weights.data(), nullptr, 0.5, 0.0, 0.0};
        const Found found = quantized({weights.size(), 8, 2}, coding_of(8, 1), slice);
        const std::vector<double> first(weights.begin(), weights.begin() + 8);
        const std::vector<double> last(weights.begin() + 8, weights.end());
        const WeightSlice<double> of_first{first.data(), nullptr, 0.5, 0.0, 0.0};
        const WeightSlice<double> of_last{last.data(), nullptr, 0.5, 0.0, 0.0};
        const double least = least_error(first, of_first, 8, 0, 0) + least_error(last, of_last, 8, 0, 0);
        CHECK(std::abs(squared_error(weights, slice, found.multiples) - least) < 1e-5);
    }
}

TEST(decoders_find_the_multiples_that_the_trellis_chose) {
    Random random(13);
    for (const int states : {4, 8}) {
        for (int context = 0; context < cabacus::kContextSets; ++context) {
            const LevelCoding coding = coding_of(states, 2, context);
            const SliceGeometry geometry{1003, 17, coding.lanes()};
            const std::vector<double> weights = some_weights(random, geometry.weights, 4.0);
            const WeightSlice<double> slice{weights.data(), nullptr, 0.25, 0.05, 0.0};
            const Found found = quantized(geometry, coding, slice);
            Levels decoded(geometry.weights);
            const auto words = cabacus::encode_slice(geometry, coding, found.levels.data());
            cabacus::decode_slice(geometry, coding, words, decoded.data());
            CHECK(decoded == found.multiples);
        }
    }
}

TEST(dearer_bits_are_fewer_and_errors_greater) {
    Random random(14);
    const LevelCoding coding = coding_of(8, 1);
    const SliceGeometry geometry{6000, 60, coding.lanes()};
    const std::vector<double> weights = some_weights(random, geometry.weights, 3.0);
    std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
    double error = 0.0;
    for (const double rate_weight : {0.0, 0.1, 0.5, 2.0}) {
        const WeightSlice<double> slice{weights.data(), nullptr, 0.5, rate_weight, 0.0};
        const Found found = quantized(geometry, coding, slice);
        const double here = squared_error(weights, slice, found.multiples);
        CHECK(found.bytes < bytes);
        CHECK(here > error);
        bytes = found.bytes;
        error = here;
    }
}

TEST(errors_stay_within_their_bound) {
    Random random(15);
    const LevelCoding coding = coding_of(8);
    const std::vector<double> weights = some_weights(random, 3000, 2.0);
    // Each quantizer has a multiple within one step of every weight.
    const WeightSlice<double> slice{weights.data(), nullptr, 0.25, 3.0, 0.25};
    const Found found = quantized({3000, 50, 1}, coding, slice);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        CHECK(std::abs(weights[i] - slice.step * found.multiples[i]) <= slice.max_error + 1e-12);
    }
}
