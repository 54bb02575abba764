// Codings, levels and shapes to the ends of their ranges, where streams.hpp draws usual ones.
#pragma once

#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "streams.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace samples {

using streams::Random;
using Bytes = std::vector<std::uint8_t>;
using Levels = std::vector<std::int32_t>;

inline std::uint8_t byte(Random& random, int least, int greatest) {
    return static_cast<std::uint8_t>(random.between(least, greatest));
}

// Of mean magnitude `scale`.
inline double laplace(Random& random, double scale) {
    return (random.below(2) == 0 ? scale : -scale) * -std::log(1.0 - random.unit());
}

// Any parameters that FORMAT allows, but for the width: 31 bits hold every level.
inline cabacus::LevelCoding any_coding(Random& random, bool trellis) {
    const int states = !trellis ? 0 : random.below(2) == 0 ? 4 : 8;
    const int context = random.between(0, cabacus::kContextSets - 1);
    cabacus::LevelCoding coding =
        streams::any_coding(random, context, states, random.between(0, cabacus::kMaxLanesLog2));
    if (random.below(2) == 0) coding.golomb = byte(random, 0, cabacus::kMaxSuffix - coding.prefixes);
    coding.width = cabacus::kMaxWidth;
    coding.class_floor = byte(random, 0, cabacus::kMaxClassFloor);
    return coding;
}

// Levels of some scale, and now and then one of any. Trellis levels stay below 2^30.
inline Levels any_levels(Random& random, std::size_t count, bool trellis = false) {
    const double scale = std::pow(10.0, random.unit() * 5 - 1);
    const std::int32_t greatest = trellis ? (1 << 30) - 1 : 0x7FFFFFFF;
    Levels levels(count);
    for (std::int32_t& level : levels) {
        const double drawn = laplace(random, scale) + (random.below(8) == 0 ? scale : 0.0);
        level = static_cast<std::int32_t>(std::clamp(drawn, -1e9, 1e9));
        if (random.below(200) == 0) level = greatest >> random.below(31);
        if (random.below(400) == 0) level = -(greatest >> random.below(31));
    }
    return levels;
}

inline cabacus::SliceGeometry any_geometry(Random& random, std::size_t count, const cabacus::LevelCoding& coding) {
    return {count, 1 + random.below(count), coding.lanes()};
}

}  // namespace samples
