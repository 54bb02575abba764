// Small tensors of a kind share the probabilities that they start from, and keep their levels.
#include "cabacus/pooling.hpp"

#include "check.hpp"
#include "samples.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

using cabacus::LevelCoding;
using cabacus::SliceGeometry;
using cabacus::SmallTensor;
using Levels = std::vector<std::int32_t>;

namespace {

LevelCoding coding_of(std::uint8_t trellis) {
    LevelCoding coding;
    coding.flags = 4;
    coding.prefixes = 2;
    coding.width = 2;
    coding.context = cabacus::kRowColumn;
    coding.row_shift = 4;
    coding.column_shift = 3;
    coding.trellis = trellis;
    return coding;
}

Levels some_levels(samples::Random& random, std::size_t count) {
    Levels levels(count);
    for (auto& level : levels) level = static_cast<std::int32_t>(random.below(4)) - static_cast<std::int32_t>(random.below(4));
    return levels;
}

}  // namespace

TEST(pooling_makes_small_tensors_smaller_and_keeps_their_levels) {
    samples::Random random(5);
    for (const int trellis : {0, 8}) {
        const LevelCoding coding = coding_of(static_cast<std::uint8_t>(trellis));
        const SliceGeometry geometry{300, 20, 1};
        std::vector<Levels> levels;
        std::vector<std::vector<std::uint8_t>> words;
        for (int i = 0; i < 30; ++i) {
            levels.push_back(some_levels(random, geometry.weights));
            words.push_back(cabacus::encode_slice(geometry, coding, levels.back().data()));
        }
        std::vector<SmallTensor> tensors;
        for (const auto& slice : words) tensors.push_back({coding, geometry, slice});
        const auto pooled = cabacus::pool(tensors);
        CHECK(pooled.has_value());
        CHECK_EQUAL(pooled->coding.start.size(), static_cast<std::size_t>(coding.unary()));
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            if (pooled->slices[i].empty()) continue;
            CHECK(pooled->slices[i].size() < words[i].size() + 4);
            const std::span<const std::uint8_t> slice(pooled->slices[i]);
            const SmallTensor again{pooled->coding, geometry, slice.first(slice.size() - 4)};
            CHECK(cabacus::detail::coded_levels(again) == levels[i]);
        }
    }
}

TEST(pooling_is_left_where_it_does_not_pay) {
    samples::Random random(6);
    const LevelCoding coding = coding_of(0);
    const SliceGeometry geometry{30, 30, 1};
    const Levels levels = some_levels(random, geometry.weights);
    const auto words = cabacus::encode_slice(geometry, coding, levels.data());
    const std::vector<SmallTensor> one{{coding, geometry, words}};
    CHECK(!cabacus::pool(one));
}
