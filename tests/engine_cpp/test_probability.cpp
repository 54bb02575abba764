// Counts learn, forget, and never become certain.
#include "cabacus/probability.hpp"

#include "check.hpp"

#include <cstdint>

using cabacus::BinCounts;
using cabacus::coder_probability;

TEST(probability_counts_are_in_sixteenths) {
    BinCounts counts;
    counts.add(3, 10);
    CHECK_EQUAL(counts.ones, 48U);
    CHECK_EQUAL(counts.total, 160U);
    CHECK_EQUAL(counts.probability16(1u << 15, 160), ((48u << 16) + (160u << 15)) / 320u);
}

TEST(probability_the_past_is_scaled_down_and_keeps_its_ratio) {
    BinCounts counts;
    for (int block = 0; block < 100; ++block) {
        counts.add(512, 2048);
        CHECK_EQUAL(counts.total, cabacus::kCountLimit);
        CHECK_EQUAL(counts.ones, cabacus::kCountLimit / 4);
    }
    counts.add(2048, 2048);  // as many ones as there were bins before
    CHECK_EQUAL(counts.ones, cabacus::kCountLimit * 5 / 8);
    // Rounded to nearest: 3 of 2,049.
    BinCounts other;
    other.add(3, 2049);
    CHECK_EQUAL(other.ones, (48u * 32768u + 32784u / 2) / 32784u);
}

TEST(probability_without_counts_it_is_the_prior) {
    for (const std::uint32_t prior : {0u, 1u, 32768u, 65535u}) CHECK_EQUAL(BinCounts{}.probability16(prior, 12), prior);
}

TEST(probability_of_the_coder_is_rounded_and_never_certain) {
    CHECK_EQUAL(coder_probability(0), 1);
    CHECK_EQUAL(coder_probability(23), 1);
    CHECK_EQUAL(coder_probability(24), 2);
    CHECK_EQUAL(coder_probability(32768), 2048);
    CHECK_EQUAL(coder_probability(65535), 4095);
    CHECK_EQUAL(coder_probability(65536), 4095);
    BinCounts certain;
    for (int block = 0; block < 1000; ++block) certain.add(2048, 2048);
    CHECK_EQUAL(coder_probability(certain.probability16(65536, 128)), 4095);
    BinCounts never;
    for (int block = 0; block < 1000; ++block) never.add(0, 2048);
    CHECK_EQUAL(coder_probability(never.probability16(0, 128)), 1);
}
