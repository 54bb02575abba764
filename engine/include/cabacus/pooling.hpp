// Small tensors end before they have learnt what their levels are like. What many of them have in common is said once, as
// the probabilities that their bins start from. FORMAT sections 3.1 and 5.4.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/encode.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/level_decoder.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace cabacus {

// A tensor of one slice. All of a pool have the same flags, golomb, prefixes, trellis and lanes.
struct SmallTensor {
    const LevelCoding& coding;
    SliceGeometry geometry;
    std::span<const std::uint8_t> words;  // without the checksum
};

// A coding for the pool, and the slices that it makes smaller, checksums included; the others are empty.
struct Pooled {
    LevelCoding coding;
    std::vector<std::vector<std::uint8_t>> slices;
};

namespace detail {

// Levels as they are coded, which under a trellis are not what they stand for.
inline std::vector<std::int32_t> coded_levels(const SmallTensor& tensor) {
    std::vector<std::int32_t> levels(tensor.geometry.weights);
    check_words(tensor.words);
    LevelDecoder(tensor.geometry, tensor.coding, tensor.words, levels.data(), LevelDecoder::Meaning::level).run();
    return levels;
}

// P(1) of every unary bin over all levels, half a one and half a zero added.
inline std::vector<std::uint16_t> starts_of(const Binarization& bins, const std::vector<std::vector<std::int32_t>>& tensors) {
    std::array<std::uint64_t, kMaxUnary + 1> seen{};
    for (const auto& levels : tensors) {
        for (const std::int32_t level : levels) ++seen[static_cast<std::size_t>(bins.ones(magnitude_of(level)))];
    }
    std::vector<std::uint16_t> starts(static_cast<std::size_t>(bins.unary()));
    double beyond = static_cast<double>(seen[starts.size()]);
    for (std::size_t bin = starts.size(); bin-- > 0;) {
        const double here = beyond + static_cast<double>(seen[bin]);
        starts[bin] = static_cast<std::uint16_t>(std::clamp(std::lround(65536 * (beyond + 0.5) / (here + 1)), 1L, 65535L));
        beyond = here;
    }
    return starts;
}

inline std::uint8_t median_floor(std::span<const SmallTensor> tensors) {
    std::vector<std::uint8_t> floors;
    for (const SmallTensor& tensor : tensors) floors.push_back(tensor.coding.class_floor);
    std::nth_element(floors.begin(), floors.begin() + static_cast<std::ptrdiff_t>(floors.size() / 2), floors.end());
    return floors[floors.size() / 2];
}

}  // namespace detail

// Nothing where it would not save the bytes of one more parameter set. Small tensors have few columns to learn: the rows
// alone give the classes.
inline std::optional<Pooled> pool(std::span<const SmallTensor> tensors) {
    Pooled pooled;
    pooled.coding = tensors.front().coding;
    pooled.coding.context = kRow;
    pooled.coding.row_shift = 4;
    pooled.coding.class_floor = detail::median_floor(tensors);
    for (const SmallTensor& tensor : tensors) pooled.coding.width = std::max(pooled.coding.width, tensor.coding.width);
    const Binarization bins(pooled.coding);
    std::vector<std::vector<std::int32_t>> levels;
    for (const SmallTensor& tensor : tensors) levels.push_back(detail::coded_levels(tensor));
    pooled.coding.start = detail::starts_of(bins, levels);
    std::size_t saved = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        std::vector<std::uint8_t> slice = encode_slice(tensors[i].geometry, pooled.coding, levels[i].data());
        if (slice.size() < tensors[i].words.size()) {
            saved += tensors[i].words.size() - slice.size();
            append_checksum(slice);
        } else {
            slice.clear();
        }
        pooled.slices.push_back(std::move(slice));
    }
    const std::size_t set_bytes = 16 + 2 * pooled.coding.start.size();
    if (saved <= set_bytes) return std::nullopt;
    return pooled;
}

}  // namespace cabacus
