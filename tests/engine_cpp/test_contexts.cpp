// The tables of a block: where they start, and what a block teaches them. FORMAT 5.4.
#include "cabacus/contexts.hpp"

#include "check.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

using cabacus::kClasses;
using cabacus::kHalf;
using cabacus::LevelCoding;
using cabacus::Probabilities;

namespace {

LevelCoding three_bins() {
    LevelCoding coding;
    coding.flags = 1;
    coding.prefixes = 1;
    return coding;
}

// Adds levels of so many ones in a class.
void see(Probabilities& probabilities, std::size_t context, std::size_t ones, std::uint32_t times) {
    probabilities.counts().unary[ones][context] += times;
}

}  // namespace

TEST(contexts_start_at_one_half_or_where_the_set_says) {
    LevelCoding coding = three_bins();
    const Probabilities plain(coding);
    for (std::size_t bin = 0; bin < 3; ++bin) {
        for (const std::uint32_t p : plain.tables().unary[bin]) CHECK_EQUAL(p, kHalf);
    }
    for (const std::uint32_t p : plain.tables().sign) CHECK_EQUAL(p, kHalf);
    for (const cabacus::Row& node : plain.tables().suffix) {
        for (const std::uint32_t p : node) CHECK_EQUAL(p, kHalf);
    }
    coding.start = {0, 16384, 65535};
    const Probabilities stored(coding);
    CHECK_EQUAL(stored.tables().unary[0][5], 1U);
    CHECK_EQUAL(stored.tables().unary[1][5], 1024U);
    CHECK_EQUAL(stored.tables().unary[2][5], 4095U);
}

TEST(contexts_learn_a_symbol_in_every_bin_that_it_has) {
    Probabilities probabilities(three_bins());
    see(probabilities, 7, 2, 10);  // bins 1, 1, 0
    see(probabilities, 7, 0, 30);  // bin 0
    probabilities.refresh();
    // Bin 0: 10 of 40 ones; its average: (65536 x 160 + 12 x 32768) / (640 + 12).
    const std::uint32_t average = (65536u * 160u + 12u * 32768u) / 652u;
    const std::uint32_t here = (65536u * 160u + 128u * average) / (640u + 128u);
    CHECK_EQUAL(probabilities.tables().unary[0][7], (here + 8) >> 4);
    CHECK_EQUAL(probabilities.tables().unary[0][3], (average + 8) >> 4);
    // Bin 1: 10 of 10; bin 2: none of 10.
    CHECK(probabilities.tables().unary[1][7] > 3900);
    CHECK(probabilities.tables().unary[2][7] < 200);
    // The counts are empty again: what follows changes nothing.
    const auto before = probabilities.tables().unary;
    probabilities.refresh();
    CHECK(before == probabilities.tables().unary);
}

TEST(contexts_signs_and_suffix_bits_learn_where_they_are_seen) {
    Probabilities probabilities(three_bins());
    probabilities.counts().sign[1][4] = 4;
    for (int i = 0; i < 12; ++i) probabilities.counts().see_suffix(1, 2, 0b10);
    for (int i = 0; i < 4; ++i) probabilities.counts().see_suffix(1, 2, 0b11);
    probabilities.refresh();
    const std::uint32_t sign = (65536u * 64u + 64u * 32768u) / 128u;
    CHECK_EQUAL(probabilities.tables().sign[4], (sign + 8) >> 4);
    CHECK_EQUAL(probabilities.tables().sign[5], kHalf);
    const std::uint32_t suffix = (65536u * 64u + 64u * 32768u) / (256u + 64u);
    CHECK_EQUAL(probabilities.tables().suffix[2][1], (suffix + 8) >> 4);
    CHECK(probabilities.tables().suffix[0][1] > 3000);  // sixteen ones
    CHECK_EQUAL(probabilities.tables().suffix[1][1], kHalf);
}

TEST(contexts_of_suffix_bits_are_apart) {
    for (std::size_t bucket = 0; bucket < cabacus::kBuckets; ++bucket) {
        for (const std::uint32_t first : {0u, 1u}) {
            Probabilities probabilities(three_bins());
            for (int i = 0; i < 100; ++i) probabilities.counts().see_suffix(bucket, 2, first << 1 | 1u);
            probabilities.refresh();
            int learnt = 0;
            for (const cabacus::Row& node : probabilities.tables().suffix) {
                for (const std::uint32_t p : node) learnt += p != kHalf;
            }
            CHECK_EQUAL(learnt, 2);
            CHECK((probabilities.tables().suffix[0][bucket] > kHalf) == (first == 1));
            CHECK(probabilities.tables().suffix[1 + first][bucket] > kHalf);
        }
    }
}

TEST(contexts_stay_within_bounds_whatever_is_seen) {
    Probabilities probabilities(three_bins());
    for (int block = 0; block < 200; ++block) {
        for (std::size_t context = 0; context < kClasses; ++context) see(probabilities, context, context % 4, 2048 / kClasses);
        probabilities.counts().sign[0][0] = 2048;
        probabilities.refresh();
    }
    for (std::size_t bin = 0; bin < 3; ++bin) {
        const auto& table = probabilities.tables().unary[bin];
        CHECK(*std::min_element(table.begin(), table.end()) >= 1);
        CHECK(*std::max_element(table.begin(), table.end()) <= 4095);
    }
    CHECK(probabilities.tables().sign[0] < 80);
}
