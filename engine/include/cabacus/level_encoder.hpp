// Codes the levels of a slice, or measures what coding them would cost.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/binarization.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/level_walk.hpp"
#include "cabacus/range_coder.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace cabacus {

// Counts the bins of steps and adds up what they cost, without walking over them.
class CostWalk {
  public:
    CostWalk(const Binarization& bins, const LevelCosts& costs) : bins_(bins), costs_(costs) {}

    void step(const Tables& /*tables*/, BlockCounts& counts, const StepContexts& at, int active, const std::int32_t* levels) {
        std::uint64_t total = 0;
        for (int lane = 0; lane < active; ++lane) {
            const auto l = static_cast<std::size_t>(lane);
            const std::int32_t level = levels[lane];
            const std::uint32_t magnitude = magnitude_of(level);
            const int ones = bins_.ones(magnitude);
            ++counts.unary[static_cast<std::size_t>(ones)][at.unary[l]];
            total += costs_(at.unary[l], at.sign[l], level);
            if (level != 0) ++counts.sign[level < 0][at.sign[l]];
            if (ones > bins_.flags()) suffix(counts, ones - bins_.flags() - 1, magnitude);
        }
        total_ += total;
    }

    std::uint64_t bytes() const { return (total_ + (std::uint64_t{8} << kCostBits) - 1) >> (kCostBits + 3); }

  private:
    void suffix(BlockCounts& counts, int bucket, std::uint32_t magnitude) const {
        const int bits = bins_.suffix_bits(bucket);
        if (bits > 0) counts.see_suffix(static_cast<std::size_t>(bucket), bits, magnitude - bins_.base(bucket));
    }

    const Binarization& bins_;
    const LevelCosts& costs_;
    std::uint64_t total_ = 0;  // in 2^-16 bits
};

// Some columns of a group, lane beside lane. Rows are often a power of two apart, and would push each other out of the
// cache if they were read column by column.
class ColumnTile {
  public:
    static constexpr std::size_t kColumns = 16;

    // `from`: the first lane's value at the first column, of which `left` values are known in all.
    void fill(const std::int32_t* from, std::size_t left, std::size_t row_width, std::size_t lanes, std::size_t columns) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const std::size_t begin = lane * row_width;
            const std::size_t count = std::min(columns, left - begin);
            for (std::size_t column = 0; column < count; ++column) values_[column][lane] = from[begin + column];
        }
    }
    const std::int32_t* column(std::size_t index) const { return values_[index].data(); }

  private:
    std::array<std::array<std::int32_t, kMaxLanes>, kColumns> values_{};
};

// A source of known levels has them as `levels`, of which one by rows chooses those of a whole group at its beginning; of
// others, `choose(position, contexts of the weight..., costs)` gives the level of a weight. See GivenLevels, Greedy and
// Trellis. `Walk` takes the bins: BinWalk or CostWalk.
template <class Source, class Walk>
class LevelEncoder {
  public:
    // `walk(bins, costs)` makes the Walk.
    template <class MakeWalk>
    LevelEncoder(const SliceGeometry& geometry, const LevelCoding& coding, Source& source, const MakeWalk& walk)
        : geometry_(geometry), bins_(coding), costs_(bins_), source_(source), walk_(geometry, coding),
          bin_walk_(walk(bins_, costs_)) {}

    void run() { walk_.run(*this); }
    // The probabilities at the end.
    const Tables& tables() { return walk_.probabilities().tables(); }
    const Walk& bin_walk() const { return bin_walk_; }

    void refreshed() {
        if constexpr (Source::kNeedsCosts || std::is_same_v<Walk, CostWalk>) costs_.refresh(walk_.probabilities().tables());
    }

    void begin_group(std::size_t group) {
        if constexpr (Source::kByRows) source_.begin_group(geometry_, group, walk_, costs_);
    }

    void step(std::size_t group, std::size_t column, int active, const StepContexts& contexts, std::int32_t* levels) {
        std::size_t position = group * static_cast<std::size_t>(geometry_.lanes) * geometry_.row_width + column;
        if constexpr (Source::kKnown) {
            const std::size_t in_tile = column % ColumnTile::kColumns;
            if (in_tile == 0) {
                const std::size_t columns = std::min(ColumnTile::kColumns, geometry_.row_width - column);
                tile_.fill(source_.levels() + position, geometry_.weights - position, geometry_.row_width,
                           static_cast<std::size_t>(active), columns);
            }
            std::copy_n(tile_.column(in_tile), active, levels);
        } else {
            for (int lane = 0; lane < active; ++lane, position += geometry_.row_width) {
                const auto l = static_cast<std::size_t>(lane);
                levels[lane] = source_.choose(position, contexts.unary[l], contexts.sign[l], costs_);
            }
        }
        Probabilities& probabilities = walk_.probabilities();
        bin_walk_.step(probabilities.tables(), probabilities.counts(), contexts, active, levels);
    }

  private:
    const SliceGeometry& geometry_;
    Binarization bins_;
    LevelCosts costs_;
    Source& source_;
    SliceWalk<LevelEncoder> walk_;
    Walk bin_walk_;
    ColumnTile tile_;
};

// Levels that are known already.
struct GivenLevels {
    static constexpr bool kNeedsCosts = false;
    static constexpr bool kByRows = false;
    static constexpr bool kKnown = true;

    const std::int32_t* given;

    const std::int32_t* levels() const { return given; }
};

// The portable form of coding known levels, which every vector form matches bit for bit.
inline void encode_portable(const SliceGeometry& geometry, const LevelCoding& coding, const std::int32_t* levels,
                            std::vector<std::uint8_t>& out) {
    RangeEncoder coder(geometry.used_lanes());
    GivenLevels source{levels};
    LevelEncoder<GivenLevels, BinWalk<RangeEncoder>> encoder(
        geometry, coding, source, [&](const Binarization& bins, const LevelCosts&) { return BinWalk<RangeEncoder>(coder, bins); });
    encoder.run();
    coder.finish(out);
}

template <class Source>
using LevelMeter = LevelEncoder<Source, CostWalk>;

inline constexpr auto kMakeCostWalk = [](const Binarization& bins, const LevelCosts& costs) { return CostWalk(bins, costs); };

// Lets the source choose its levels. Gives the bytes that coding them takes, but for the ends of the lanes: about three
// bytes each.
template <class Source>
std::uint64_t measure_slice(const SliceGeometry& geometry, const LevelCoding& coding, Source& source) {
    LevelMeter<Source> meter(geometry, coding, source, kMakeCostWalk);
    meter.run();
    return meter.bin_walk().bytes() + 3 * static_cast<std::uint64_t>(geometry.used_lanes());
}

}  // namespace cabacus
