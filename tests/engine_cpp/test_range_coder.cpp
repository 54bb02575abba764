// What goes into lanes comes out of them, in as many bits as the probabilities say; an end that is none is found.
#include "cabacus/range_coder.hpp"

#include "cabacus/level_coding.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using cabacus::RangeDecoder;
using cabacus::RangeEncoder;
using samples::Bytes;
using samples::Random;

namespace {

struct Bin {
    int lane;
    std::uint32_t probability;
    bool one;
};

Bytes encoded(const std::vector<Bin>& bins, int lanes) {
    RangeEncoder encoder(lanes);
    for (const Bin& bin : bins) CHECK_EQUAL(encoder.code(bin.lane, bin.probability, bin.one), bin.one);
    Bytes words;
    encoder.finish(words);
    return words;
}

bool decodes(const std::vector<Bin>& bins, int lanes, const Bytes& words) {
    RangeDecoder decoder(words, lanes);
    for (const Bin& bin : bins) {
        if (decoder.code(bin.lane, bin.probability, false) != bin.one) return false;
    }
    return decoder.finished();
}

std::vector<Bin> drawn(Random& random, std::size_t count, int lanes) {
    std::vector<Bin> bins;
    for (std::size_t i = 0; i < count; ++i) {
        // Often the extremes: ranges as narrow as they become, and carries over many words.
        const std::uint64_t kind = random.below(4);
        const auto p = static_cast<std::uint32_t>(kind == 0 ? 1 : kind == 1 ? 4095 : 1 + random.below(4095));
        const bool likely = random.unit() * 4096 < p;
        bins.push_back({static_cast<int>(random.below(static_cast<std::uint64_t>(lanes))), p, likely != (random.below(8) == 0)});
    }
    return bins;
}

}  // namespace

TEST(range_coder_bins_come_back_from_any_number_of_lanes) {
    Random random(1);
    for (int lanes = 1; lanes <= cabacus::kMaxLanes; ++lanes) {
        for (int round = 0; round < 20; ++round) {
            const std::vector<Bin> bins = drawn(random, random.below(400), lanes);
            CHECK(decodes(bins, lanes, encoded(bins, lanes)));
        }
    }
}

TEST(range_coder_every_sequence_of_few_bins_comes_back) {
    for (const std::uint32_t p : {1u, 2u, 1000u, 2048u, 4094u, 4095u}) {
        for (const std::uint32_t q : {1u, 2048u, 4095u}) {
            for (unsigned pattern = 0; pattern < 256; ++pattern) {
                std::vector<Bin> bins;
                for (unsigned bit = 0; bit < 8; ++bit) bins.push_back({0, bit % 2 == 0 ? p : q, (pattern >> bit & 1) != 0});
                CHECK(decodes(bins, 1, encoded(bins, 1)));
            }
        }
    }
}

TEST(range_coder_carries_run_over_many_words) {
    // The interval stays around a number of many ones, until the last bin says on which side of it.
    for (const bool last : {false, true}) {
        std::vector<Bin> bins{{0, 2048, true}};
        for (int i = 0; i < 5000; ++i) bins.push_back({0, 1, false});
        for (int i = 0; i < 40; ++i) bins.push_back({0, 1, true}), bins.push_back({0, 4095, false});
        bins.push_back({0, 2048, last});
        CHECK(decodes(bins, 1, encoded(bins, 1)));
    }
}

TEST(range_coder_takes_the_bits_that_the_probabilities_say) {
    Random random(2);
    std::vector<Bin> bins;
    double bits = 0;
    for (int i = 0; i < 200'000; ++i) {
        const auto p = static_cast<std::uint32_t>(1 + random.below(4095));
        const bool one = random.unit() * 4096 < p;
        bits -= std::log2((one ? p : 4096 - p) / 4096.0);
        bins.push_back({i % 4, p, one});
    }
    const double taken = 8.0 * static_cast<double>(encoded(bins, 4).size());
    CHECK(taken > bits && taken < bits * 1.002 + 4 * 24);
}

TEST(range_coder_what_is_certain_takes_no_words) {
    CHECK(encoded({}, 64).empty());
    CHECK(encoded({{0, 4095, true}, {1, 4095, true}}, 2).empty());
    CHECK(decodes({{0, 4095, true}, {1, 4095, true}}, 2, {}));
}

TEST(range_coder_an_end_that_no_encoder_makes_is_found) {
    Random random(3);
    for (int lanes : {1, 3, 16}) {
        const std::vector<Bin> bins = drawn(random, 300, lanes);
        const Bytes good = encoded(bins, lanes);
        Bytes longer = good;
        longer.resize(good.size() + 2 * static_cast<std::size_t>(lanes) + 2);  // more than the zeros that were left out
        longer.back() = 1;
        CHECK(!decodes(bins, lanes, longer));
        const Bytes shorter(good.begin(), good.end() - 2);
        CHECK(!decodes(bins, lanes, shorter));
    }
    // A code above the number that ends the lane.
    CHECK(!decodes({}, 1, {1, 0, 1, 0}));
}
