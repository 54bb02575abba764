// Every magnitude has one place: a number of ones, and a suffix in its bucket. FORMAT 5.2, by another way of counting.
#include "cabacus/binarization.hpp"

#include "check.hpp"
#include "samples.hpp"

#include <cstdint>
#include <vector>

using cabacus::Binarization;
using cabacus::LevelCoding;

namespace {

LevelCoding coding_of(int flags, int golomb, int prefixes, int width) {
    LevelCoding coding;
    coding.flags = static_cast<std::uint8_t>(flags);
    coding.golomb = static_cast<std::uint8_t>(golomb);
    coding.prefixes = static_cast<std::uint8_t>(prefixes);
    coding.width = static_cast<std::uint8_t>(width);
    return coding;
}

}  // namespace

TEST(binarization_buckets_follow_each_other_without_holes) {
    for (int flags = 0; flags <= cabacus::kMaxFlags; ++flags) {
        for (int prefixes = 0; flags + prefixes <= cabacus::kMaxFlags; ++prefixes) {
            for (int golomb = 0; golomb + prefixes <= cabacus::kMaxSuffix; ++golomb) {
                const Binarization bins(coding_of(flags, golomb, prefixes, 7));
                CHECK_EQUAL(bins.unary(), 1 + flags + prefixes);
                CHECK_EQUAL(bins.buckets(), prefixes + 1);
                std::uint64_t base = static_cast<std::uint64_t>(flags) + 1;
                for (int bucket = 0; bucket <= prefixes; ++bucket) {
                    CHECK_EQUAL(bins.base(bucket), base);
                    CHECK_EQUAL(bins.suffix_bits(bucket), bucket < prefixes ? golomb + bucket : 7);
                    const std::uint64_t size = std::uint64_t{1} << bins.suffix_bits(bucket);
                    CHECK_EQUAL(bins.ones(static_cast<std::uint32_t>(base)), flags + 1 + bucket);
                    CHECK_EQUAL(bins.ones(static_cast<std::uint32_t>(base + size - 1)), flags + 1 + bucket);
                    base += size;
                }
                CHECK_EQUAL(bins.largest(), base - 1);
            }
        }
    }
}

TEST(binarization_small_magnitudes_are_their_number_of_ones) {
    const Binarization bins(coding_of(5, 0, 3, 2));
    for (std::uint32_t magnitude = 0; magnitude <= 5; ++magnitude) {
        CHECK_EQUAL(bins.ones(magnitude), static_cast<int>(magnitude));
    }
    // Buckets of 1, 2 and 4, then 4 more.
    const std::vector<int> expected{6, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9};
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK_EQUAL(bins.ones(static_cast<std::uint32_t>(6 + i)), expected[i]);
    CHECK_EQUAL(bins.largest(), 16U);
}

TEST(binarization_the_largest_is_that_of_a_level) {
    CHECK_EQUAL(Binarization(coding_of(0, 0, 0, 31)).largest(), 0x7FFFFFFFU);
    CHECK_EQUAL(Binarization(coding_of(0, 10, 14, 31)).largest(), 0x7FFFFFFFU);
    CHECK_EQUAL(Binarization(coding_of(0, 0, 0, 30)).largest(), 0x40000000U);
    CHECK_EQUAL(Binarization(coding_of(14, 0, 0, 0)).largest(), 15U);
    CHECK_EQUAL(Binarization(coding_of(0, 0, 0, 31)).ones(0x7FFFFFFF), 1);
}
