// Whole tensors: the same bytes on any number of threads, the figures of the report, and the way back.
#include "cabacus/tensor_encoder.hpp"

#include "cabacus/tensor_decoder.hpp"
#include "check.hpp"
#include "streams.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

using cabacus::EncodedTensor;
using cabacus::EncodeOptions;
using cabacus::LevelCoding;
using cabacus::Quantizer;
using cabacus::QuantizeOptions;
using streams::Random;

namespace {

using Levels = std::vector<std::int32_t>;

cabacus::SliceRun run_of(const EncodedTensor& tensor, std::size_t weights) {
    cabacus::SliceRun run{tensor.coding, weights, tensor.row_width, tensor.slice_rows, 0, {}, tensor.payload};
    for (const std::uint64_t bytes : tensor.slice_bytes) run.bytes.push_back(static_cast<std::size_t>(bytes));
    return run;
}

Levels decoded(const EncodedTensor& tensor, std::size_t weights) {
    Levels levels(weights);
    cabacus::decode_levels(run_of(tensor, weights), 2, "w", levels.data());
    return levels;
}

std::vector<float> some_weights(std::size_t count) {
    Random random(16);
    std::vector<float> weights(count);
    for (float& weight : weights) weight = static_cast<float>(random.unit() + random.unit() - random.unit() - random.unit());
    return weights;
}

void same(const EncodedTensor& one, const EncodedTensor& other) {
    CHECK(one.coding == other.coding);
    CHECK_EQUAL(one.row_width, other.row_width);
    CHECK_EQUAL(one.slice_rows, other.slice_rows);
    CHECK(one.slice_bytes == other.slice_bytes);
    CHECK(one.payload == other.payload);
    CHECK_EQUAL(one.nonzero, other.nonzero);
    CHECK_EQUAL(one.entropy_bits, other.entropy_bits);
    CHECK_EQUAL(one.squared_error, other.squared_error);
    CHECK_EQUAL(one.weighted_error, other.weighted_error);
}

EncodeOptions options_of(std::size_t columns, int threads = 1) {
    EncodeOptions options;
    options.columns = columns;
    options.threads = threads;
    options.effort = cabacus::Effort::fast;
    return options;
}

constexpr std::size_t kColumns = 1000;
constexpr std::size_t kSeveralSlices = 1700 * kColumns - 3;

}  // namespace

TEST(levels_are_the_same_bytes_on_any_number_of_threads) {
    Random random(17);
    Levels levels = streams::any_levels(random, 2 * kSeveralSlices);
    const EncodedTensor one = cabacus::encode_levels(levels.data(), levels.size(), options_of(kColumns, 1));
    CHECK(one.slice_bytes.size() >= 3);
    for (const int threads : {2, 5}) {
        same(cabacus::encode_levels(levels.data(), levels.size(), options_of(kColumns, threads)), one);
    }
    CHECK(decoded(one, levels.size()) == levels);
}

TEST(weights_are_the_same_bytes_on_any_number_of_threads) {
    const std::vector<float> weights = some_weights(kSeveralSlices);
    for (const Quantizer quantizer : {Quantizer::round, Quantizer::greedy, Quantizer::trellis}) {
        const QuantizeOptions how{0.25, 0.05, 0.0, quantizer, false};
        const auto encoded = [&](int threads) {
            return cabacus::encode_weights(weights.data(), weights.size(), nullptr, how, options_of(kColumns, threads));
        };
        const EncodedTensor one = encoded(1);
        CHECK(one.slice_bytes.size() >= 2);
        same(encoded(2), one);
        if (quantizer == Quantizer::round) same(encoded(5), one);
    }
}

TEST(the_figures_are_those_of_the_decoded_weights) {
    const std::vector<float> weights = some_weights(20011);
    std::vector<float> eta(weights.size());
    for (std::size_t i = 0; i < eta.size(); ++i) eta[i] = static_cast<float>(i % 5) / 2;
    for (const Quantizer quantizer : {Quantizer::round, Quantizer::greedy, Quantizer::trellis}) {
        const QuantizeOptions how{0.125, 0.1, 0.0, quantizer, false};
        const EncodedTensor tensor = cabacus::encode_weights(weights.data(), weights.size(), eta.data(), how, options_of(100));
        std::vector<double> back(weights.size());
        cabacus::decode_weights(run_of(tensor, weights.size()), how.step, 2, "w", back.data());
        double squared = 0.0;
        double weighted = 0.0;
        std::uint64_t nonzero = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const double error = static_cast<double>(weights[i]) - back[i];
            squared += error * error;
            weighted += static_cast<double>(eta[i]) * error * error;
            nonzero += back[i] != 0.0;
        }
        CHECK(std::abs(tensor.squared_error - squared) <= 1e-9 * squared);
        CHECK(std::abs(tensor.weighted_error - weighted) <= 1e-9 * weighted);
        CHECK_EQUAL(tensor.nonzero, nonzero);
        CHECK_EQUAL(tensor.coding.trellis, quantizer == Quantizer::trellis ? 8 : 0);
    }
}

TEST(without_a_payload_sizes_are_about_the_same) {
    const std::vector<float> weights = some_weights(50000);
    for (const Quantizer quantizer : {Quantizer::round, Quantizer::greedy, Quantizer::trellis}) {
        const QuantizeOptions how{0.125, 0.1, 0.0, quantizer, false};
        EncodeOptions options = options_of(100);
        const EncodedTensor with = cabacus::encode_weights(weights.data(), weights.size(), nullptr, how, options);
        options.payload = false;
        const EncodedTensor without = cabacus::encode_weights(weights.data(), weights.size(), nullptr, how, options);
        CHECK(without.payload.empty());
        CHECK_EQUAL(without.squared_error, with.squared_error);
        CHECK_EQUAL(without.slice_bytes.size(), with.slice_bytes.size());
        const auto bytes = static_cast<double>(with.slice_bytes[0]);
        CHECK(std::abs(static_cast<double>(without.slice_bytes[0]) - bytes) < 0.005 * bytes + 100);
    }
}

TEST(a_greedy_choice_stays_within_its_bound) {
    const std::vector<float> weights = some_weights(5000);
    for (const bool all : {false, true}) {
        const QuantizeOptions how{0.25, 5.0, 0.2, Quantizer::greedy, all};
        const EncodedTensor tensor = cabacus::encode_weights(weights.data(), weights.size(), nullptr, how, options_of(50));
        const Levels levels = decoded(tensor, weights.size());
        for (std::size_t i = 0; i < weights.size(); ++i) CHECK(std::abs(static_cast<double>(weights[i]) - how.step * levels[i]) <= 0.2);
    }
}

TEST(levels_of_every_magnitude_come_back) {
    for (int bits = 0; bits < 32; ++bits) {
        const auto most = static_cast<std::int32_t>((std::uint64_t{1} << bits) - 1);
        const Levels levels{most, 0, -most, 1, most / 3, -most / 2, 0};
        for (const cabacus::Effort effort : {cabacus::Effort::fast, cabacus::Effort::max}) {
            EncodeOptions options = options_of(3);
            options.effort = effort;
            CHECK(decoded(cabacus::encode_levels(levels.data(), levels.size(), options), levels.size()) == levels);
        }
    }
}

TEST(parameters_that_are_given_hold_but_for_the_width) {
    Random random(18);
    Levels levels = streams::any_levels(random, 1000);
    levels[5] = 100000;
    EncodeOptions options = options_of(10);
    LevelCoding coding = streams::any_coding(random, 2, 0, 3);
    coding.prefixes = 0;
    coding.width = 0;
    coding.start.clear();
    options.coding = coding;
    const EncodedTensor tensor = cabacus::encode_levels(levels.data(), levels.size(), options);
    CHECK_EQUAL(tensor.coding.width, 17);
    CHECK(decoded(tensor, levels.size()) == levels);
    coding.width = tensor.coding.width;
    CHECK(tensor.coding == coding);
}

TEST(parameters_that_are_pinned_hold) {
    Random random(19);
    const Levels levels = streams::any_levels(random, 4000);
    for (const cabacus::Effort effort : {cabacus::Effort::fast, cabacus::Effort::normal, cabacus::Effort::max}) {
        EncodeOptions options = options_of(40);
        options.effort = effort;
        options.fixed.flags = 3;
        options.fixed.context = 1;
        options.fixed.lanes = 16;
        options.fixed.class_floor = 7;
        const EncodedTensor tensor = cabacus::encode_levels(levels.data(), levels.size(), options);
        CHECK_EQUAL(tensor.coding.flags, 3);
        CHECK_EQUAL(tensor.coding.context, 1);
        CHECK_EQUAL(tensor.coding.lanes(), 16);
        CHECK_EQUAL(tensor.coding.class_floor, 7);
        CHECK(decoded(tensor, levels.size()) == levels);
    }
}

TEST(a_step_too_small_and_weights_that_are_not_finite_are_refused) {
    for (const float weight : {1e30F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        const QuantizeOptions how{1.0, 0.0, 0.0, Quantizer::round, false};
        CHECK_THROWS(std::invalid_argument, cabacus::encode_weights(&weight, 1, nullptr, how, options_of(1)));
    }
}

TEST(a_coding_with_a_trellis_belongs_to_that_quantizer) {
    const std::vector<float> weights(100, 1.0F);
    for (const std::uint8_t states : {std::uint8_t{0}, std::uint8_t{4}, std::uint8_t{8}}) {
        EncodeOptions options = options_of(10);
        options.coding = LevelCoding{};
        options.coding->trellis = states;
        for (const Quantizer quantizer : {Quantizer::round, Quantizer::greedy, Quantizer::trellis}) {
            const QuantizeOptions how{0.25, 0.0, 0.0, quantizer, false};
            const auto encode = [&] { return cabacus::encode_weights(weights.data(), 100, nullptr, how, options); };
            if ((states != 0) == (quantizer == Quantizer::trellis)) {
                CHECK_EQUAL(encode().coding.trellis, states);
            } else {
                CHECK_THROWS(std::invalid_argument, encode());
            }
        }
        const std::int32_t level = 3;
        if (states != 0) CHECK_THROWS(std::invalid_argument, cabacus::encode_levels(&level, 1, options));
    }
}

TEST(a_level_of_no_magnitude_is_refused) {
    const std::int32_t level = std::numeric_limits<std::int32_t>::min();
    CHECK_THROWS(std::invalid_argument, cabacus::encode_levels(&level, 1, options_of(1)));
}

TEST(a_damaged_slice_is_named) {
    Random random(20);
    const Levels levels = streams::any_levels(random, 5000);
    EncodedTensor tensor = cabacus::encode_levels(levels.data(), levels.size(), options_of(50));
    const auto fault = [&] {
        try {
            decoded(tensor, levels.size());
        } catch (const cabacus::FormatError& error) {
            CHECK_EQUAL(error.tensor, "w");
            return error.kind;
        }
        check::fail(__FILE__, __LINE__, "the slice was taken");
    };
    tensor.payload[100] ^= 4;
    CHECK(fault() == cabacus::Fault::corrupt);
    tensor.payload.pop_back();
    CHECK(fault() == cabacus::Fault::truncated);
}
