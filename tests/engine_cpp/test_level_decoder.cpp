// Levels come back from every coding and shape; whatever the words are, a slice is decoded or refused. The portable form:
// test_lanes.cpp has the others agree with it.
#include "cabacus/level_decoder.hpp"

#include "cabacus/dependent_states.hpp"
#include "cabacus/error.hpp"
#include "cabacus/level_encoder.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

using cabacus::Fault;
using cabacus::FormatError;
using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using samples::Bytes;
using samples::Levels;
using samples::Random;

namespace {

// The levels of a slice, or nothing where it is refused as corrupt.
std::optional<Levels> decoded(const SliceGeometry& geometry, const LevelCoding& coding, const Bytes& words) {
    // Exactly as large as they are, so that a step beyond either end is seen.
    const Bytes exact(words);
    Levels levels(geometry.weights);
    try {
        cabacus::check_words(exact);
        cabacus::LevelDecoder(geometry, coding, exact, levels.data()).run();
    } catch (const FormatError& error) {
        CHECK(error.kind == Fault::corrupt);
        return std::nullopt;
    }
    return levels;
}

// What coded levels stand for.
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

Bytes encoded(const SliceGeometry& geometry, const LevelCoding& coding, const Levels& levels) {
    Bytes words;
    cabacus::encode_portable(geometry, coding, levels.data(), words);
    return words;
}

void round_trip(const SliceGeometry& geometry, const LevelCoding& coding, const Levels& levels) {
    const std::optional<Levels> found = decoded(geometry, coding, encoded(geometry, coding, levels));
    CHECK(found.has_value() && *found == multiples(geometry, coding, levels));
}

}  // namespace

TEST(level_decoder_every_short_sequence_comes_back) {
    LevelCoding coding;
    coding.flags = 1;
    coding.prefixes = 1;
    coding.width = 3;
    coding.row_shift = coding.column_shift = 1;
    for (const std::uint8_t context : Bytes{0, 1, 2, 3}) {
        for (const std::uint8_t trellis : Bytes{0, 4, 8}) {
            for (const std::uint8_t lanes : Bytes{0, 1}) {
                coding.context = context;
                coding.trellis = trellis;
                coding.lanes_log2 = lanes;
                const SliceGeometry geometry{4, 2, coding.lanes()};
                for (int code = 0; code < 7 * 7 * 7 * 7; ++code) {
                    const Levels levels{code % 7 - 3, code / 7 % 7 - 3, code / 49 % 7 - 3, code / 343 - 3};
                    round_trip(geometry, coding, levels);
                }
            }
        }
    }
}

TEST(level_decoder_levels_come_back_from_every_coding_and_shape) {
    Random random(5);
    for (int round = 0; round < 700; ++round) {
        const LevelCoding coding = samples::any_coding(random, round % 3 == 0);
        const Levels levels = samples::any_levels(random, 1 + random.below(round % 10 == 0 ? 6000 : 700), coding.trellis != 0);
        round_trip(samples::any_geometry(random, levels.size(), coding), coding, levels);
    }
}

TEST(level_decoder_one_row_and_one_column_come_back) {
    Random random(6);
    for (int round = 0; round < 40; ++round) {
        LevelCoding coding = samples::any_coding(random, false);
        const Levels levels = samples::any_levels(random, 300);
        for (const std::size_t width : {std::size_t{1}, std::size_t{300}, std::size_t{299}}) {
            round_trip({levels.size(), width, coding.lanes()}, coding, levels);
        }
    }
}

TEST(level_decoder_a_slice_cut_or_changed_does_no_harm) {
    Random random(7);
    int refused = 0;
    int tried = 0;
    for (int round = 0; round < 200; ++round) {
        const LevelCoding coding = samples::any_coding(random, round % 3 == 0);
        const Levels levels = samples::any_levels(random, 1 + random.below(400), coding.trellis != 0);
        const SliceGeometry geometry = samples::any_geometry(random, levels.size(), coding);
        const Bytes words = encoded(geometry, coding, levels);
        for (int change = 0; change < 6 && !words.empty(); ++change) {
            Bytes changed = words;
            if (change % 2 == 0) {
                changed.resize(random.below(words.size()));
            } else {
                changed[random.below(words.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
            }
            ++tried;
            refused += !decoded(geometry, coding, changed);
        }
    }
    CHECK(refused > tried / 2);
}

TEST(level_decoder_any_bytes_do_no_harm) {
    Random random(8);
    for (int round = 0; round < 500; ++round) {
        LevelCoding coding = samples::any_coding(random, round % 3 == 0);
        coding.width = samples::byte(random, 0, cabacus::kMaxWidth);
        const std::size_t count = 1 + random.below(600);
        Bytes words(random.below(round % 2 == 0 ? 40 : 3000));
        for (std::uint8_t& byte : words) byte = static_cast<std::uint8_t>(round % 5 == 0 ? 0xFFu : random.below(256));
        static_cast<void>(decoded(samples::any_geometry(random, count, coding), coding, words));
        static_cast<void>(decoded(samples::any_geometry(random, count, coding), coding, {}));
    }
}

TEST(level_decoder_many_levels_from_no_words_at_all) {
    // Beyond the words come zeros, which are ones of the greatest magnitudes: every step runs to the end of its bins.
    LevelCoding coding;
    coding.flags = 14;
    coding.prefixes = 0;
    coding.width = 31;
    for (std::uint8_t lanes = 0; lanes <= cabacus::kMaxLanesLog2; ++lanes) {
        coding.lanes_log2 = lanes;
        static_cast<void>(decoded({20'000, 100, coding.lanes()}, coding, {}));
    }
}

TEST(level_decoder_words_are_whole_and_do_not_end_with_zero) {
    const LevelCoding coding;
    const SliceGeometry geometry{1, 1, 1};
    CHECK(!decoded(geometry, coding, {1}));
    CHECK(!decoded(geometry, coding, {1, 0, 0, 0}));
    CHECK(!decoded(geometry, coding, {0, 0}));
}

TEST(level_decoder_levels_of_a_trellis_are_below_2_to_the_30) {
    LevelCoding coding;
    coding.flags = coding.prefixes = 0;
    coding.width = 31;
    coding.trellis = 8;
    for (const std::uint8_t lanes : Bytes{0, 3, 4, 6}) {
        coding.lanes_log2 = lanes;
        const SliceGeometry geometry{3, 1, coding.lanes()};
        round_trip(geometry, coding, {cabacus::kMaxTrellisLevel, -cabacus::kMaxTrellisLevel, 1});
        for (const std::int32_t level : {1 << 30, -(1 << 30), 0x7FFFFFFF}) {
            const Levels levels{0, level, 0};
            CHECK(!decoded(geometry, coding, encoded(geometry, coding, levels)));
        }
    }
}
