// The parameters that are chosen are valid, keep what is pinned, and are no worse than the first guess.
#include "cabacus/level_search.hpp"

#include "cabacus/binarization.hpp"
#include "cabacus/container_rules.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <cstddef>
#include <cstdint>

using cabacus::CodingSearch;
using cabacus::Effort;
using cabacus::FixedCoding;
using cabacus::LevelCoding;
using cabacus::LevelStatistics;
using samples::Levels;
using samples::Random;

namespace {

LevelStatistics seen_in(const Levels& levels) {
    LevelStatistics seen;
    for (const std::int32_t level : levels) seen.add(level);
    return seen;
}

std::uint64_t bytes_of(const Levels& levels, std::size_t columns, const LevelCoding& coding) {
    cabacus::GivenLevels source{levels.data()};
    const std::size_t width = cabacus::choose_row_width(levels.size(), columns, coding.lanes());
    return cabacus::measure_slice({levels.size(), width, coding.lanes()}, coding, source);
}

}  // namespace

TEST(level_search_finds_valid_parameters_that_hold_every_level) {
    Random random(20);
    for (int round = 0; round < 40; ++round) {
        const Levels levels = samples::any_levels(random, 200 + random.below(2000));
        const std::size_t columns = 1 + random.below(100);
        const LevelStatistics seen = seen_in(levels);
        const LevelCoding first = cabacus::first_coding(seen, {});
        std::uint64_t before = bytes_of(levels, columns, first);
        for (const Effort effort : {Effort::fast, Effort::normal, Effort::max}) {
            if (effort == Effort::max && round % 8 != 0) continue;
            const FixedCoding nothing;
            const LevelCoding found = CodingSearch(levels.data(), levels.size(), columns, nothing).run(first, effort);
            cabacus::check_level_coding(found);
            CHECK(cabacus::Binarization(found).largest() >= seen.largest);
            const std::uint64_t after = bytes_of(levels, columns, found);
            CHECK(after <= before);
            before = after;
        }
    }
}

TEST(level_search_keeps_what_is_pinned) {
    Random random(21);
    const Levels levels = samples::any_levels(random, 3000);
    FixedCoding fixed;
    fixed.flags = 3;
    fixed.context = 1;
    fixed.row_shift = 7;
    fixed.column_shift = 6;
    fixed.class_floor = 30;
    fixed.lanes = 16;
    const LevelCoding found =
        CodingSearch(levels.data(), levels.size(), 50, fixed).run(cabacus::first_coding(seen_in(levels), fixed), Effort::max);
    CHECK_EQUAL(found.flags, 3);
    CHECK_EQUAL(found.context, 1);
    CHECK_EQUAL(found.row_shift, 7);
    CHECK_EQUAL(found.column_shift, 6);
    CHECK_EQUAL(found.class_floor, 30);
    CHECK_EQUAL(found.lanes(), 16);
}

TEST(level_search_the_last_bucket_is_as_wide_as_it_must_be) {
    LevelCoding coding;
    coding.flags = 2;
    coding.prefixes = 1;
    coding.golomb = 1;  // bucket 0 is 3 and 4, the last begins at 5
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 4), 0);
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 5), 0);
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 6), 1);
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 8), 2);
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 9), 3);
    CHECK_EQUAL(cabacus::detail::bits_beyond(coding, 0x7FFFFFFF), 31);
}

TEST(level_search_few_long_rows_are_cut_for_the_lanes) {
    CHECK_EQUAL(cabacus::choose_row_width(1000, 100, 16), 100U);
    CHECK_EQUAL(cabacus::choose_row_width(1000, 500, 16), 63U);
    CHECK_EQUAL(cabacus::choose_row_width(1000, 1000, 1), 1000U);
    CHECK_EQUAL(cabacus::choose_row_width(1, 1, 64), 1U);
}
