// Every form of the lane coder gives the same bytes, the same levels, and the same verdict on hostile words.
#include "cabacus/lanes/decode.hpp"
#include "cabacus/lanes/encode.hpp"

#include "check.hpp"
#include "streams.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

using cabacus::Form;
using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using streams::Random;

namespace {

using Levels = std::vector<std::int32_t>;
using Words = std::vector<std::uint8_t>;

// Those that this processor runs.
std::vector<Form> forms() {
    std::vector<Form> all;
    for (const Form form : cabacus::kForms) {
        if (cabacus::runs(form)) all.push_back(form);
    }
    return all;
}

// The levels, or nothing where the words are refused; that must be as corrupt.
std::optional<Levels> decoded(const SliceGeometry& geometry, const LevelCoding& coding, const Words& words, Form form) {
    const Words exact(words);  // without room behind the last word, where a sanitizer sees a read
    Levels levels(geometry.weights);
    try {
        cabacus::decode_slice(geometry, coding, exact, levels.data(), form);
    } catch (const cabacus::FormatError& error) {
        CHECK(error.kind == cabacus::Fault::corrupt);
        return std::nullopt;
    }
    return levels;
}

std::optional<Levels> agreed(const SliceGeometry& geometry, const LevelCoding& coding, const Words& words) {
    const std::optional<Levels> portable = decoded(geometry, coding, words, Form::portable);
    for (const Form form : forms()) CHECK(decoded(geometry, coding, words, form) == portable);
    return portable;
}

// What levels stand for where lanes have states.
Levels multiples(const SliceGeometry& geometry, const LevelCoding& coding, const Levels& levels) {
    if (coding.trellis == 0) return levels;
    Levels meant(levels);
    std::vector<std::uint8_t> states(static_cast<std::size_t>(geometry.lanes));
    for (std::size_t i = 0; i < levels.size(); ++i) {
        std::uint8_t& state = states[i / geometry.row_width % static_cast<std::size_t>(geometry.lanes)];
        meant[i] = cabacus::trellis_multiple(cabacus::trellis_quantizer(coding.trellis, state), levels[i]);
        state = cabacus::trellis_next(coding.trellis, state, levels[i]);
    }
    return meant;
}

// Few and many rows beside the lanes, whole and short last rows.
SliceGeometry any_geometry(Random& random, int lanes) {
    const std::size_t width = 1 + random.below(random.below(2) == 0 ? 8 : 70);
    const std::size_t rows = 1 + random.below(3 * static_cast<std::size_t>(lanes));
    const std::size_t weights = random.below(2) == 0 ? rows * width : (rows - 1) * width + 1 + random.below(width);
    return {weights, width, lanes};
}

struct Made {
    SliceGeometry geometry;
    LevelCoding coding;
    Levels levels;
};

Made any_slice(Random& random, int context, int trellis, int lanes_log2) {
    const LevelCoding coding = streams::any_coding(random, context, trellis, lanes_log2);
    const SliceGeometry geometry = any_geometry(random, coding.lanes());
    return {geometry, coding, streams::any_levels(random, geometry.weights)};
}

template <class Body>
void for_every_kind(const Body& body) {
    for (int lanes_log2 = 0; lanes_log2 <= cabacus::kMaxLanesLog2; ++lanes_log2) {
        for (int context = 0; context < cabacus::kContextSets; ++context) {
            for (const int trellis : {0, 4, 8}) body(context, trellis, lanes_log2);
        }
    }
}

}  // namespace

TEST(every_form_codes_the_same_bytes_and_the_same_levels) {
    Random random(7);
    for_every_kind([&](int context, int trellis, int lanes_log2) {
        for (int trial = 0; trial < 4; ++trial) {
            const Made made = any_slice(random, context, trellis, lanes_log2);
            const Words words = cabacus::encode_slice(made.geometry, made.coding, made.levels.data(), Form::portable);
            for (const Form form : forms()) {
                CHECK(cabacus::encode_slice(made.geometry, made.coding, made.levels.data(), form) == words);
            }
            CHECK(agreed(made.geometry, made.coding, words) == multiples(made.geometry, made.coding, made.levels));
        }
    });
}

TEST(every_form_judges_hostile_words_alike) {
    Random random(8);
    int refused = 0;
    int taken = 0;
    for_every_kind([&](int context, int trellis, int lanes_log2) {
        for (int trial = 0; trial < 6; ++trial) {
            const Made made = any_slice(random, context, trellis, lanes_log2);
            Words words = cabacus::encode_slice(made.geometry, made.coding, made.levels.data());
            if (trial < 2) {
                words.resize(random.below(words.size() + 1));
            } else if (trial < 4 && !words.empty()) {
                words[random.below(words.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
            } else {
                words.resize(2 * random.below(200));
                for (std::uint8_t& byte : words) byte = static_cast<std::uint8_t>(random.below(256));
            }
            ++(agreed(made.geometry, made.coding, words) ? taken : refused);
        }
    });
    CHECK(refused > 100);
    CHECK(taken + refused == 7 * 4 * 3 * 6);
}

TEST(words_that_say_no_and_yes_forever_end_with_the_slice) {
    Random random(9);
    for_every_kind([&](int context, int trellis, int lanes_log2) {
        Made made = any_slice(random, context, trellis, lanes_log2);
        made.coding.width = cabacus::kMaxWidth;
        for (const std::uint8_t byte : {std::uint8_t{0}, std::uint8_t{0xFF}}) {
            for (const std::size_t size : {0u, 2u, 400u, 20000u}) {
                Words words(size, byte);
                if (size != 0) words.back() = 0x80;
                agreed(made.geometry, made.coding, words);
            }
        }
    });
}

TEST(the_greatest_levels_come_back) {
    for_every_kind([&](int context, int trellis, int lanes_log2) {
        Random random(10);
        LevelCoding coding = streams::any_coding(random, context, trellis, lanes_log2);
        coding.width = cabacus::kMaxWidth;
        const std::int32_t most = trellis == 0 ? 0x7FFFFFFF : cabacus::kMaxTrellisLevel;
        const SliceGeometry geometry{195, 3, coding.lanes()};
        Levels levels(geometry.weights);
        for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = i % 3 == 0 ? most : i % 3 == 1 ? -most : 0;
        for (const Form form : forms()) {
            const Words words = cabacus::encode_slice(geometry, coding, levels.data(), form);
            CHECK(agreed(geometry, coding, words) == multiples(geometry, coding, levels));
        }
    });
}

TEST(levels_beyond_a_trellis_are_corrupt_to_every_form) {
    for (int lanes_log2 = 0; lanes_log2 <= cabacus::kMaxLanesLog2; ++lanes_log2) {
        for (const int trellis : {4, 8}) {
            Random random(11);
            LevelCoding coding = streams::any_coding(random, 1, trellis, lanes_log2);
            coding.width = cabacus::kMaxWidth;
            const SliceGeometry geometry{130, 2, coding.lanes()};
            Levels levels(geometry.weights);
            levels[77] = cabacus::kMaxTrellisLevel + 1;
            CHECK(!agreed(geometry, coding, cabacus::encode_slice(geometry, coding, levels.data(), Form::portable)));
        }
    }
}

TEST(words_are_whole_and_the_last_is_not_zero) {
    const LevelCoding coding;
    const SliceGeometry geometry{1, 1, 1};
    CHECK(!agreed(geometry, coding, {1}));
    CHECK(!agreed(geometry, coding, {1, 0, 0, 0}));
    CHECK(!agreed(geometry, coding, {0, 0}));
}
