// The order of the bins of a step, as FORMAT 5.1 and 5.2 have it, and what they are counted as.
#include "cabacus/level_walk.hpp"

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "check.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using cabacus::Binarization;
using cabacus::BinWalk;
using cabacus::BlockCounts;
using cabacus::LevelCoding;
using cabacus::StepContexts;
using cabacus::Tables;

namespace {

// Notes every bin as "lane:probability=bin".
struct Recorder {
    std::vector<std::string> bins;

    bool code(int lane, std::uint32_t probability, bool bin) {
        bins.push_back(std::to_string(lane) + ":" + std::to_string(probability) + "=" + (bin ? "1" : "0"));
        return bin;
    }
};

// Probabilities that tell where they stand: unary bin j in class c is 100 j + c, sign 1000 + c, suffix node j of a bucket 2000 + 20 j + bucket.
Tables telling() {
    Tables tables{};
    for (std::size_t bin = 0; bin < tables.unary.size(); ++bin) {
        for (std::size_t c = 0; c < tables.unary[bin].size(); ++c) tables.unary[bin][c] = static_cast<std::uint32_t>(100 * bin + c);
    }
    for (std::size_t c = 0; c < tables.sign.size(); ++c) tables.sign[c] = static_cast<std::uint32_t>(1000 + c);
    for (std::size_t node = 0; node < tables.suffix.size(); ++node) {
        for (std::size_t c = 0; c < tables.suffix[node].size(); ++c) tables.suffix[node][c] = static_cast<std::uint32_t>(2000 + 20 * node + c);
    }
    return tables;
}

std::string suffix(int lane, int bucket, int node, int bin) {
    const std::size_t place = static_cast<std::size_t>(2000 + 20 * node + bucket);
    return std::to_string(lane) + ":" + std::to_string(place) + "=" + std::to_string(bin);
}

}  // namespace

TEST(level_walk_bins_interleave_over_the_lanes) {
    LevelCoding coding;
    coding.flags = 1;
    coding.golomb = 1;
    coding.prefixes = 1;
    coding.width = 4;
    const Binarization bins(coding);  // buckets: 2 and 3; from 4 on
    Recorder coder;
    BinWalk<Recorder> walk(coder, bins);
    StepContexts at{};
    at.unary[0] = 7, at.unary[1] = 1, at.unary[2] = 0, at.unary[3] = 2;
    at.sign[1] = 5, at.sign[2] = 6;
    BlockCounts counts;
    std::int32_t levels[4] = {0, -3, 15, 1};  // 15 is 4 + 0b1011
    walk.step(telling(), counts, at, 4, levels);
    const std::vector<std::string> expected{
        "0:7=0",   "1:1=1",    "2:0=1",   "3:2=1",                              // sigflags
        "1:1005=1", "2:1006=0", "3:1000=0",                                     // signs
        "1:101=1", "2:100=1",  "3:102=0",                                       // AbsGr(1)
        "1:201=0", "2:200=1",                                                   // the prefix bin
        suffix(1, 0, 0, 1), suffix(2, 1, 0, 1), suffix(2, 1, 2, 0),             // suffix bits with contexts
        "2:2048=1", "2:2048=1",                                                 // bypass bins
    };
    CHECK(coder.bins == expected);
    CHECK(!walk.overflowed());
    CHECK(std::equal(levels, levels + 4, std::vector<std::int32_t>{0, -3, 15, 1}.begin()));
    CHECK_EQUAL(counts.unary[0][7], 1U);
    CHECK_EQUAL(counts.unary[2][1], 1U);
    CHECK_EQUAL(counts.unary[3][0], 1U);
    CHECK_EQUAL(counts.unary[1][2], 1U);
    CHECK_EQUAL(counts.sign[1][5] + counts.sign[0][6] + counts.sign[0][0], 3U);
    CHECK_EQUAL(counts.suffix[2][0][1], 1U);
}

TEST(level_walk_a_magnitude_beyond_a_level_is_noted) {
    LevelCoding coding;
    coding.flags = 0;
    coding.prefixes = 0;
    coding.width = 31;
    const Binarization bins(coding);
    struct Ones {
        bool code(int, std::uint32_t, bool) { return true; }
    } coder;
    BinWalk<Ones> walk(coder, bins);
    BlockCounts counts;
    std::int32_t level = 0;
    walk.step(telling(), counts, StepContexts{}, 1, &level);
    CHECK(walk.overflowed());
}

TEST(level_walk_blocks_grow_and_then_stay) {
    // Which steps are the first of new probabilities: 4, 8, 16 steps, then 32.
    struct Source {
        std::vector<int> refreshed_at;
        int steps = 0;
        void refreshed() { refreshed_at.push_back(steps); }
        void begin_group(std::size_t) {}
        void step(std::size_t, std::size_t, int active, const StepContexts&, std::int32_t* levels) {
            for (int lane = 0; lane < active; ++lane) levels[lane] = 0;
            ++steps;
        }
    } source;
    LevelCoding coding;
    coding.lanes_log2 = 1;
    const cabacus::SliceGeometry geometry{260, 10, 2};  // 13 groups of 10 steps
    cabacus::SliceWalk<Source> walk(geometry, coding);
    walk.run(source);
    CHECK_EQUAL(source.steps, 130);
    CHECK(source.refreshed_at == (std::vector<int>{0, 4, 12, 28, 60, 92, 124}));
}
