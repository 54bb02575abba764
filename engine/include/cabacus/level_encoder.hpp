// Codes the levels of a slice, or measures what coding them would cost.
#pragma once

#include "cabacus/bin_cost.hpp"
#include "cabacus/binarization.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/level_walk.hpp"
#include "cabacus/range_coder.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cabacus {

// `Source::choose(position, contexts of the weight..., costs)` gives the level of a weight. A source by rows chooses those
// of a whole group at its beginning. See GivenLevels, Greedy and Trellis.
template <class Source, class Coder>
class LevelEncoder {
  public:
    LevelEncoder(const SliceGeometry& geometry, const LevelCoding& coding, Source& source, Coder& coder)
        : geometry_(geometry), bins_(coding), costs_(bins_), source_(source), walk_(geometry, coding),
          bin_walk_(coder, bins_) {}

    void run() { walk_.run(*this); }
    // The probabilities at the end.
    const Tables& tables() { return walk_.probabilities().tables(); }

    void refreshed() {
        if constexpr (Source::kNeedsCosts) costs_.refresh(walk_.probabilities().tables());
    }

    void begin_group(std::size_t group) {
        if constexpr (Source::kByRows) source_.begin_group(geometry_, group, walk_, costs_);
    }

    void step(std::size_t group, std::size_t column, int active, const StepContexts& contexts, std::int32_t* levels) {
        std::size_t position = group * static_cast<std::size_t>(geometry_.lanes) * geometry_.row_width + column;
        for (int lane = 0; lane < active; ++lane, position += geometry_.row_width) {
            const auto l = static_cast<std::size_t>(lane);
            levels[lane] = source_.choose(position, contexts.unary[l], contexts.sign[l], costs_);
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
    BinWalk<Coder> bin_walk_;
};

// Levels that are known already.
struct GivenLevels {
    static constexpr bool kNeedsCosts = false;
    static constexpr bool kByRows = false;

    const std::int32_t* levels;

    std::int32_t choose(std::size_t position, std::size_t, std::size_t, const LevelCosts&) const { return levels[position]; }
};

template <class Source>
std::vector<std::uint8_t> encode_slice(const SliceGeometry& geometry, const LevelCoding& coding, Source& source) {
    RangeEncoder coder(geometry.used_lanes());
    LevelEncoder<Source, RangeEncoder>(geometry, coding, source, coder).run();
    std::vector<std::uint8_t> out;
    coder.finish(out);
    return out;
}

// Bytes that encode_slice would make, but for the ends of the lanes: about three bytes each.
template <class Source>
std::uint64_t measure_slice(const SliceGeometry& geometry, const LevelCoding& coding, Source& source) {
    CostMeter meter;
    LevelEncoder<Source, CostMeter>(geometry, coding, source, meter).run();
    return meter.bytes() + 3 * static_cast<std::uint64_t>(geometry.used_lanes());
}

}  // namespace cabacus
