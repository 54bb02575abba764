// The lane coder: any words, and any levels.
#include "cabacus/dependent_states.hpp"
#include "cabacus/error.hpp"
#include "cabacus/lanes/decode.hpp"
#include "cabacus/lanes/encode.hpp"
#include "cabacus/tensor_decoder.hpp"
#include "cabacus/tensor_encoder.hpp"
#include "drawer.hpp"
#include "targets.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace {

using cabacus::Form;
using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using Bytes = std::vector<std::uint8_t>;
using Levels = std::vector<std::int32_t>;

constexpr std::size_t kMostLevels = 1024;

std::vector<Form> forms() {
    std::vector<Form> all;
    for (const Form form : cabacus::kForms) {
        if (cabacus::runs(form)) all.push_back(form);
    }
    return all;
}

std::optional<Levels> decoded(const SliceGeometry& geometry, const LevelCoding& coding, const Bytes& words, Form form) {
    Levels levels(geometry.weights);
    try {
        cabacus::decode_slice(geometry, coding, words, levels.data(), form);
    } catch (const cabacus::FormatError& error) {
        CLAIM(error.kind == cabacus::Fault::corrupt);
        return std::nullopt;
    }
    return levels;
}

Levels multiples(const SliceGeometry& geometry, const LevelCoding& coding, Levels levels) {
    if (coding.trellis == 0) return levels;
    std::vector<std::uint8_t> states(static_cast<std::size_t>(geometry.lanes));
    for (std::size_t i = 0; i < levels.size(); ++i) {
        std::uint8_t& state = states[i / geometry.row_width % states.size()];
        const std::int32_t level = levels[i];
        levels[i] = cabacus::trellis_multiple(cabacus::trellis_quantizer(coding.trellis, state), level);
        state = cabacus::trellis_next(coding.trellis, state, level);
    }
    return levels;
}

void check_levels(const LevelCoding& coding, std::size_t width, Levels levels) {
    const auto largest = static_cast<std::int32_t>(std::min(cabacus::Binarization(coding).largest(),
                                                            coding.trellis == 0 ? 0x7FFFFFFFu : 0x3FFFFFFFu));
    for (std::int32_t& level : levels) level = std::clamp(level, -largest, largest);
    const SliceGeometry geometry{levels.size(), 1 + width % levels.size(), coding.lanes()};
    const Bytes words = cabacus::encode_slice(geometry, coding, levels.data(), Form::portable);
    const Levels expected = multiples(geometry, coding, levels);
    for (const Form form : forms()) {
        CLAIM(cabacus::encode_slice(geometry, coding, levels.data(), form) == words);
        CLAIM(decoded(geometry, coding, words, form) == expected);
    }
}

// Quantized and coded weights decode to within the bound, and to the errors that were told.
void check_weights(fuzz::Drawer& drawer, const std::vector<float>& weights, std::size_t width) {
    cabacus::QuantizeOptions how;
    how.step = 0.01 + drawer.byte() / 16.0;
    how.rate_weight = drawer.byte() / 64.0;
    how.max_error = (drawer.byte() & 1) != 0 ? 1.5 * how.step : 0.0;
    how.quantizer = static_cast<cabacus::Quantizer>(drawer.upto(2));
    how.all_candidates = (drawer.byte() & 1) != 0 && how.step > 4;
    cabacus::EncodeOptions options;
    options.columns = 1 + width % weights.size();
    options.effort = static_cast<cabacus::Effort>(drawer.upto(1));
    const cabacus::EncodedTensor made = cabacus::encode_weights(weights.data(), weights.size(), nullptr, how, options);
    cabacus::SliceRun run{made.coding, weights.size(), made.row_width, made.slice_rows, 0, {}, made.payload};
    for (const std::uint64_t bytes : made.slice_bytes) run.bytes.push_back(static_cast<std::size_t>(bytes));
    std::vector<double> found(weights.size());
    cabacus::decode_weights(run, how.step, 1, "w", found.data());
    double squared = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const double error = std::abs(static_cast<double>(weights[i]) - found[i]);
        CLAIM(how.max_error == 0.0 || error <= how.max_error * (1 + 1e-9));
        squared += error * error;
    }
    CLAIM(std::abs(squared - made.squared_error) <= 1e-6 * (1 + squared));
}

}  // namespace

void fuzz::slices(Input input) {
    Drawer drawer(input);
    const LevelCoding coding = drawer.coding();
    const std::size_t count = 1 + drawer.u16() % kMostLevels;
    const SliceGeometry geometry{count, 1 + drawer.u16() % count, coding.lanes()};
    const Bytes words(drawer.rest().begin(), drawer.rest().end());
    const std::optional<Levels> portable = decoded(geometry, coding, words, Form::portable);
    for (const Form form : forms()) CLAIM(decoded(geometry, coding, words, form) == portable);
    // As a tensor of one slice, under a right checksum.
    Bytes slice = words;
    cabacus::append_checksum(slice);
    const cabacus::SliceRun run{coding, count, geometry.row_width, geometry.rows(), 0, {slice.size()}, slice};
    Levels levels(count);
    try {
        cabacus::decode_levels(run, 1, "w", levels.data());
        CLAIM(portable == levels);
    } catch (const cabacus::FormatError&) {
        CLAIM(!portable);
    }
}

void fuzz::round_trip(Input input) {
    Drawer drawer(input);
    const LevelCoding coding = drawer.coding();
    const std::size_t width = drawer.u16();
    const std::uint8_t kind = drawer.byte();
    if (kind % 4 == 3) {
        std::vector<float> weights;
        Drawer numbers(drawer.rest());
        while (!numbers.rest().empty() && weights.size() < kMostLevels) {
            weights.push_back(static_cast<float>(static_cast<std::int8_t>(numbers.byte())) / 8 +
                              static_cast<float>(numbers.byte()) / 4096);
        }
        if (!weights.empty()) check_weights(drawer, weights, width);
        return;
    }
    // Small levels, middle ones, or any.
    Levels levels;
    while (!drawer.rest().empty() && levels.size() < kMostLevels) {
        const auto byte = static_cast<std::int8_t>(drawer.byte());
        if (kind % 4 == 0) {
            levels.push_back(byte / 16);
        } else if (kind % 4 == 1 || byte > -100) {
            levels.push_back(byte);
        } else {
            levels.push_back(static_cast<std::int32_t>(drawer.u32()));
        }
    }
    if (!levels.empty()) check_levels(coding, width, levels);
}
