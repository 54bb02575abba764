// Counts learn, forget, and never become certain.
#include "cabacus/probability.hpp"

#include "check.hpp"

#include <cstddef>
#include <cstdint>

using cabacus::CountRow;
using cabacus::Row;

namespace {

// One context's counts after bins that were seen; the others saw nothing.
void add(CountRow& counts, std::uint32_t ones, std::uint32_t total) {
    Row new_ones{};
    Row new_total{};
    new_ones[3] = ones;
    new_total[3] = total;
    counts.add(new_ones, new_total);
}

std::uint32_t probability(const CountRow& counts, std::uint32_t prior, std::int32_t weight, std::size_t context = 3) {
    Row table{};
    counts.probabilities(prior, weight, table);
    return table[context];
}

}  // namespace

TEST(probability_counts_are_in_sixteenths) {
    CountRow counts;
    add(counts, 3, 10);
    CHECK_EQUAL(counts.ones[3], 48);
    CHECK_EQUAL(counts.total[3], 160);
    CHECK_EQUAL(counts.total[4], 0);
    CHECK_EQUAL(probability(counts, 1u << 15, 160), (((48u << 16) + (160u << 15)) / 320u + 8) >> 4);
}

TEST(probability_the_past_is_scaled_down_and_keeps_its_ratio) {
    CountRow counts;
    for (int block = 0; block < 100; ++block) {
        add(counts, 512, 2048);
        CHECK_EQUAL(counts.total[3], cabacus::kCountLimit);
        CHECK_EQUAL(counts.ones[3], cabacus::kCountLimit / 4);
    }
    add(counts, 2048, 2048);  // as many ones as there were bins before
    CHECK_EQUAL(counts.ones[3], cabacus::kCountLimit * 5 / 8);
    // Rounded to nearest: 3 of 2,049.
    CountRow other;
    add(other, 3, 2049);
    CHECK_EQUAL(other.ones[3], (48 * 32768 + 32784 / 2) / 32784);
}

TEST(probability_float_quotients_are_those_of_integers) {
    // The totals and ones that a block can bring, near and beyond the limit.
    for (std::uint32_t total = 1; total <= 2048; total += 7) {
        for (std::uint32_t ones = 0; ones <= total; ones += 1 + total / 13) {
            CountRow counts;
            add(counts, 2048, 2048);
            add(counts, ones, total);
            const std::uint64_t o = 32768u + 16u * ones;
            const std::uint64_t t = 32768u + 16u * total;
            CHECK_EQUAL(counts.ones[3], static_cast<std::int32_t>((o * 32768u + t / 2) / t));
            const std::uint64_t p16 = ((static_cast<std::uint64_t>(counts.ones[3]) << 16) + 128u * 12345u) / (32768u + 128u);
            CHECK_EQUAL(probability(counts, 12345, 128), static_cast<std::uint32_t>(p16 + 8) >> 4);
        }
    }
}

TEST(probability_without_counts_it_is_the_prior) {
    for (const std::uint32_t prior : {0u, 1u, 32768u, 65535u}) CHECK_EQUAL(CountRow{}.average(prior, 12), prior);
}

TEST(probability_the_average_is_that_of_all_contexts) {
    CountRow counts;
    Row ones{};
    Row total{};
    ones.fill(1);
    total.fill(4);
    counts.add(ones, total);
    CHECK_EQUAL(counts.average(0, 512), static_cast<std::uint32_t>((65536u * 256u) / (1024u + 512u)));
}

TEST(probability_of_the_coder_is_rounded_and_never_certain) {
    const CountRow none;
    CHECK_EQUAL(probability(none, 0, 16), 1U);
    CHECK_EQUAL(probability(none, 23, 16), 1U);
    CHECK_EQUAL(probability(none, 24, 16), 2U);
    CHECK_EQUAL(probability(none, 32768, 16), 2048U);
    CHECK_EQUAL(probability(none, 65536, 16), 4095U);
    CountRow certain;
    for (int block = 0; block < 1000; ++block) add(certain, 2048, 2048);
    CHECK_EQUAL(probability(certain, 65536, 128), 4095U);
    CountRow never;
    for (int block = 0; block < 1000; ++block) add(never, 0, 2048);
    CHECK_EQUAL(probability(never, 0, 128), 1U);
}
