// Decodes the levels of a slice: the portable form, which every vector form matches bit for bit. FORMAT section 5.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/error.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/level_walk.hpp"
#include "cabacus/range_coder.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace cabacus {

// `words`: a slice without its checksum. `levels`: geometry.weights of them, in scan order.
class LevelDecoder {
  public:
    // What is given out: the multiple of the step that a level stands for, or the level as it was coded.
    enum class Meaning { multiple, level };

    LevelDecoder(const SliceGeometry& geometry, const LevelCoding& coding, std::span<const std::uint8_t> words,
                 std::int32_t* levels, Meaning meaning = Meaning::multiple)
        : geometry_(geometry), bins_(coding), coder_(words, geometry.used_lanes()), walk_(geometry, coding),
          bin_walk_(coder_, bins_), out_(levels), meaning_(meaning) {}

    void run() {
        walk_.run(*this);
        if (!coder_.finished() || bin_walk_.overflowed() || overflowed_) {
            throw FormatError(Fault::corrupt, "a slice does not decode to its end");
        }
    }

    void refreshed() {}
    void begin_group(std::size_t) {}

    void step(std::size_t group, std::size_t column, int active, const StepContexts& contexts, std::int32_t* levels) {
        Probabilities& probabilities = walk_.probabilities();
        bin_walk_.step(probabilities.tables(), probabilities.counts(), contexts, active, levels);
        std::int32_t* out = out_ + group * static_cast<std::size_t>(geometry_.lanes) * geometry_.row_width + column;
        for (int lane = 0; lane < active; ++lane, out += geometry_.row_width) *out = multiple(lane, levels[lane]);
    }

  private:
    // What a level stands for, in steps.
    std::int32_t multiple(int lane, std::int32_t level) {
        const int states = walk_.coding().trellis;
        if (states == 0) return level;
        overflowed_ |= level > kMaxTrellisLevel || level < -kMaxTrellisLevel;
        if (meaning_ == Meaning::level) return level;
        return trellis_multiple(trellis_quantizer(states, walk_.state(lane)), level);
    }

    bool overflowed_ = false;
    const SliceGeometry& geometry_;
    Binarization bins_;
    RangeDecoder coder_;
    SliceWalk<LevelDecoder> walk_;
    BinWalk<RangeDecoder> bin_walk_;
    std::int32_t* out_;
    Meaning meaning_;
};

inline void check_words(std::span<const std::uint8_t> words) {
    if (words.size() % 2 != 0) throw FormatError(Fault::corrupt, "a slice is no whole number of words");
    if (words.size() >= 2 && words[words.size() - 1] == 0 && words[words.size() - 2] == 0) {
        throw FormatError(Fault::corrupt, "a slice ends with a word of zero");
    }
}

}  // namespace cabacus
