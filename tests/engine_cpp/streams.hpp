// Made-up levels and parameters for the tests of the level coder, from a generator that is the same everywhere.
#pragma once

#include "cabacus/level_coding.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace streams {

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    int between(int least, int most) {
        return least + static_cast<int>(below(static_cast<std::uint64_t>(most - least) + 1));
    }
    // In [0, 1).
    double unit() { return static_cast<double>(engine_() >> 11) / 9007199254740992.0; }

  private:
    std::mt19937_64 engine_;
};

// Any parameters, and a last bucket that holds 2^12 magnitudes or more.
inline cabacus::LevelCoding any_coding(Random& random, int context, int trellis, int lanes_log2) {
    cabacus::LevelCoding coding;
    coding.flags = static_cast<std::uint8_t>(random.between(0, 14));
    coding.prefixes = static_cast<std::uint8_t>(random.between(0, 14 - coding.flags));
    coding.golomb = static_cast<std::uint8_t>(random.between(0, 5));
    coding.width = static_cast<std::uint8_t>(random.between(12, 31));
    coding.context = static_cast<std::uint8_t>(context);
    coding.row_shift = static_cast<std::uint8_t>(random.between(0, 7));
    coding.column_shift = static_cast<std::uint8_t>(random.between(0, 7));
    coding.class_floor = static_cast<std::uint8_t>(random.between(0, 12));
    coding.trellis = static_cast<std::uint8_t>(trellis);
    coding.lanes_log2 = static_cast<std::uint8_t>(lanes_log2);
    if (random.below(2) == 0) {
        for (int bin = 0; bin < coding.unary(); ++bin) {
            coding.start.push_back(static_cast<std::uint16_t>(random.below(1 << 16)));
        }
    }
    return coding;
}

// Stretches of small and of great levels, with signs that lean, and one of 4095.
inline std::vector<std::int32_t> any_levels(Random& random, std::size_t count) {
    std::vector<std::int32_t> levels(count);
    double scale = 1.0;
    double lean = 0.5;
    for (std::size_t i = 0; i < count; ++i) {
        if (i % 37 == 0) {
            scale = static_cast<double>(1 << (2 * random.below(4))) / 2;
            lean = random.unit();
        }
        const double x = random.unit();
        const auto magnitude = static_cast<std::int32_t>(scale * x * x / (1.02 - x));
        levels[i] = random.unit() < lean ? magnitude : -magnitude;
    }
    levels[random.below(count)] = 4095;
    return levels;
}

}  // namespace streams
