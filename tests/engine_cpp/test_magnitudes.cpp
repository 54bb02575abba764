// Running magnitudes: the arithmetic of FORMAT 5.3, written plainly beside the fast forms.
#include "cabacus/magnitudes.hpp"

#include "check.hpp"
#include "samples.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

using cabacus::LevelCoding;
using cabacus::Magnitudes;
using cabacus::octave_eighths;
using samples::Random;

namespace {

int log8(int x) {
    const auto value = static_cast<unsigned>(std::max(x, 1));
    const int octave = static_cast<int>(std::bit_width(value)) - 1;
    return 8 * octave + static_cast<int>((8 * (value - (1u << octave))) >> octave);
}

LevelCoding coding_of(int context) {
    LevelCoding coding;
    coding.context = static_cast<std::uint8_t>(context);
    coding.class_floor = 6;
    coding.row_shift = 3;
    coding.column_shift = 4;
    return coding;
}

}  // namespace

TEST(magnitudes_eighths_of_octaves_are_those_of_integers) {
    for (int x = 0; x <= 70'000; ++x) CHECK_EQUAL(octave_eighths(x), log8(x));
    for (int x = 70'000; x < (4095 << 8); x += 37) CHECK_EQUAL(octave_eighths(x), log8(x));
    CHECK_EQUAL(octave_eighths(4095 << 8), log8(4095 << 8));
    CHECK_EQUAL(octave_eighths(1 << 20), 160);  // the slice's first magnitude at the highest floor
}

TEST(magnitudes_are_capped) {
    CHECK_EQUAL(cabacus::capped(-4094), 4094);
    CHECK_EQUAL(cabacus::capped(5000), 4095);
    CHECK_EQUAL(cabacus::capped(std::numeric_limits<std::int32_t>::min()), 4095);
    CHECK_EQUAL(cabacus::capped(std::numeric_limits<std::int32_t>::max()), 4095);
}

TEST(magnitudes_classes_are_half_octaves_above_the_floor) {
    LevelCoding coding = coding_of(1);
    CHECK_EQUAL(cabacus::magnitude_class(coding, -9), 0);
    CHECK_EQUAL(cabacus::magnitude_class(coding, 27), 0);
    CHECK_EQUAL(cabacus::magnitude_class(coding, 28), 1);
    CHECK_EQUAL(cabacus::magnitude_class(coding, 1000), 15);
    coding.trellis = 8;
    CHECK_EQUAL(cabacus::magnitude_class(coding, 32), 1);
    CHECK_EQUAL(cabacus::magnitude_class(coding, 1000), 7);
}

TEST(magnitudes_of_slice_and_columns_follow_the_format) {
    Random random(4);
    for (const int context : {1, 2, 3}) {
        const LevelCoding coding = coding_of(context);
        Magnitudes fast(coding, 3);
        int slice = 1 << 8;
        int magnitude[3] = {};
        int sign[3] = {};
        CHECK_EQUAL(fast.slice(), slice);
        for (std::size_t group = 0; group < 300; ++group) {
            fast.begin_group(group);
            CHECK_EQUAL(fast.rows()[5], slice);
            const int shift = std::min(4, static_cast<int>(std::bit_width(group)));
            for (std::size_t column = 0; column < 3; ++column) {
                const int here = log8(group == 0 ? slice : magnitude[column]);
                const int term = context == 1 ? 0 : context == 2 ? here : here - log8(slice);
                CHECK_EQUAL(fast.step_term(column), term);
                const int d = context == 1 || group == 0 ? 0 : sign[column];
                CHECK_EQUAL(fast.sign_bias(column), d < -80 ? 2 : d < -40 ? 1 : d > 80 ? 4 : d > 40 ? 3 : 0);
                const int lanes = random.between(1, 64);
                const int sum = random.between(0, lanes * (column == 0 ? 4095 : 9));
                const int signs = random.between(column == 1 ? -lanes : 0, column == 1 ? 0 : lanes);
                fast.end_step(column, sum, signs, lanes);
                const int mean = (sum << 8) / lanes;
                magnitude[column] += (mean - magnitude[column]) >> shift;
                sign[column] += (256 * signs / lanes - sign[column]) >> shift;
                slice += (mean - slice) >> 5;
                CHECK_EQUAL(fast.slice(), slice);
            }
        }
    }
}

TEST(magnitudes_rows_learn_fast_at_their_beginning) {
    const Magnitudes magnitudes(coding_of(1), 1);
    CHECK_EQUAL(magnitudes.row_shift(0), 1);
    CHECK_EQUAL(magnitudes.row_shift(1), 2);
    CHECK_EQUAL(magnitudes.row_shift(2), 3);
    CHECK_EQUAL(magnitudes.row_shift(1000), 3);
}
