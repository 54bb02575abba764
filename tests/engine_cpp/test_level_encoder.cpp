// What is measured is what coding takes, and counts the same.
#include "cabacus/level_encoder.hpp"

#include "cabacus/binarization.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <cstddef>
#include <cstdint>

using cabacus::GivenLevels;
using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using samples::Bytes;
using samples::Levels;
using samples::Random;

TEST(level_encoder_measures_within_the_ends_of_the_lanes) {
    Random random(9);
    for (int round = 0; round < 120; ++round) {
        const LevelCoding coding = samples::any_coding(random, round % 3 == 0);
        const Levels levels = samples::any_levels(random, 1 + random.below(2000), coding.trellis != 0);
        const SliceGeometry geometry = samples::any_geometry(random, levels.size(), coding);
        GivenLevels source{levels.data()};
        const auto measured = static_cast<double>(cabacus::measure_slice(geometry, coding, source));
        Bytes words;
        cabacus::encode_portable(geometry, coding, levels.data(), words);
        const auto taken = static_cast<double>(words.size());
        // A lane ends with up to four bytes more than its bins, or with words of zero that nobody writes.
        CHECK(taken <= measured + 2 + 2 * geometry.used_lanes());
        CHECK(taken >= 0.98 * measured - 8 * geometry.used_lanes());
    }
}

TEST(level_encoder_a_walk_that_only_counts_learns_the_same) {
    Random random(10);
    for (int round = 0; round < 60; ++round) {
        const LevelCoding coding = samples::any_coding(random, false);
        const Levels levels = samples::any_levels(random, 1500);
        const SliceGeometry geometry = samples::any_geometry(random, levels.size(), coding);
        GivenLevels source{levels.data()};
        cabacus::LevelMeter<GivenLevels> meter(geometry, coding, source, cabacus::kMakeCostWalk);
        meter.run();
        cabacus::RangeEncoder coder(geometry.used_lanes());
        using Bins = cabacus::BinWalk<cabacus::RangeEncoder>;
        cabacus::LevelEncoder<GivenLevels, Bins> encoder(
            geometry, coding, source,
            [&](const cabacus::Binarization& bins, const cabacus::LevelCosts&) { return Bins(coder, bins); });
        encoder.run();
        CHECK(meter.tables().unary == encoder.tables().unary);
        CHECK(meter.tables().sign == encoder.tables().sign);
        CHECK(meter.tables().suffix == encoder.tables().suffix);
    }
}
