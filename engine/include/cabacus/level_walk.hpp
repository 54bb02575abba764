// The order in which a slice's bins are coded, written once for encoder, decoder and cost meter. FORMAT section 5.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/target.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/magnitudes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

// The contexts of one step: a class for the unary bins and one for the sign, lane by lane.
struct StepContexts {  // no bytes: those would be taken for parts of anything, and loops over lanes stay loops
    std::array<std::uint32_t, kMaxLanes> unary;
    std::array<std::uint32_t, kMaxLanes> sign;
};

// Codes the bins of one step. `Coder::code(lane, probability, bin)` gives the bin back; one that reads ignores the third
// argument, and the levels are then results.
template <class Coder>
class BinWalk {
  public:
    BinWalk(Coder& coder, const Binarization& bins) : coder_(coder), bins_(bins) {}

    void step(const Tables& tables, BlockCounts& counts, const StepContexts& at, int active, std::int32_t* levels) {
        if (active == 1) return one_level(tables, counts, at, levels[0]);
        int waiting = 0;
        for (int lane = 0; lane < active; ++lane) {
            wanted_[index(lane)] = bins_.ones(magnitude_of(levels[lane]));
            ones_[index(lane)] = 0;
            list_[index(waiting)] = static_cast<std::uint32_t>(lane);
            waiting += unary_bin(tables, at, lane, 0);
        }
        const int nonzero = waiting;
        std::array<std::uint32_t, kMaxLanes> with_sign = list_;
        for (int i = 0; i < nonzero; ++i) {
            const auto lane = static_cast<int>(with_sign[index(i)]);
            const std::size_t context = at.sign[index(lane)];
            negative_[index(lane)] = coder_.code(lane, tables.sign[context], levels[lane] < 0);
            ++counts.sign[negative_[index(lane)]][context];
        }
        for (int bin = 1; bin < bins_.unary() && waiting > 0; ++bin) {
            int left = 0;
            for (int i = 0; i < waiting; ++i) {
                const std::uint32_t lane = list_[index(i)];
                list_[index(left)] = lane;
                left += unary_bin(tables, at, static_cast<int>(lane), bin);
            }
            waiting = left;
        }
        suffixes(tables, counts, with_sign, nonzero, levels);
        for (int lane = 0; lane < active; ++lane) {
            ++counts.unary[index(ones_[index(lane)])][at.unary[index(lane)]];
            if (ones_[index(lane)] == 0) levels[lane] = 0;
        }
    }

    // A magnitude did not fit into a level: the stream is corrupt.
    bool overflowed() const { return overflowed_; }

  private:
    static constexpr std::size_t index(int i) { return static_cast<std::size_t>(i); }

    // What a step comes to in one lane, without lists of lanes: small tensors have no more.
    void one_level(const Tables& tables, BlockCounts& counts, const StepContexts& at, std::int32_t& level) {
        const std::size_t context = at.unary[0];
        const std::size_t sign = at.sign[0];
        const std::uint32_t given = magnitude_of(level);
        const int wanted = bins_.ones(given);
        int ones = coder_.code(0, tables.unary[0][context], wanted > 0);
        std::uint32_t magnitude = 0;
        if (ones != 0) {
            const bool negative = coder_.code(0, tables.sign[sign], level < 0);
            ++counts.sign[negative][sign];
            while (ones < bins_.unary() && coder_.code(0, tables.unary[index(ones)][context], wanted > ones)) ++ones;
            magnitude = static_cast<std::uint32_t>(ones);
            if (ones > bins_.flags()) magnitude = with_suffix(tables, counts, ones - bins_.flags() - 1, given);
            const auto kept = static_cast<std::int32_t>(magnitude & 0x7FFFFFFFu);
            level = negative ? -kept : kept;
        } else {
            level = 0;
        }
        ++counts.unary[index(ones)][context];
        overflowed_ |= magnitude > 0x7FFFFFFFu;
    }

    std::uint32_t with_suffix(const Tables& tables, BlockCounts& counts, int bucket, std::uint32_t given) {
        const int bits = bins_.suffix_bits(bucket);
        known_[0] = given - bins_.base(bucket);
        suffix_[0] = 0;
        for (int bit = 0; bit < bits; ++bit) suffix_bit(tables, 0, bucket, bit);
        if (bits > 0) counts.see_suffix(index(bucket), bits, suffix_[0]);
        return bins_.base(bucket) + suffix_[0];
    }

    int unary_bin(const Tables& tables, const StepContexts& at, int lane, int bin) {
        const bool one =
            coder_.code(lane, tables.unary[index(bin)][at.unary[index(lane)]], wanted_[index(lane)] > bin);
        ones_[index(lane)] += one;
        return one;
    }

    // Suffix bits of all lanes beyond the AbsGr flags, highest first; then the levels of all lanes that are not zero.
    void suffixes(const Tables& tables, BlockCounts& counts, const std::array<std::uint32_t, kMaxLanes>& lanes, int nonzero,
                  std::int32_t* levels) {
        int waiting = 0;
        for (int i = 0; i < nonzero; ++i) {
            const std::uint32_t lane = lanes[index(i)];
            const int bucket = ones_[index(lane)] - bins_.flags() - 1;
            if (bucket < 0) {
                levels[lane] = negative_[lane] ? -ones_[lane] : ones_[lane];
                continue;
            }
            known_[lane] = magnitude_of(levels[lane]) - bins_.base(bucket);
            suffix_[lane] = 0;
            list_[index(waiting++)] = lane;
        }
        const int beyond = waiting;
        const std::array<std::uint32_t, kMaxLanes> all = list_;
        for (int bit = 0; waiting > 0; ++bit) {
            int left = 0;
            for (int i = 0; i < waiting; ++i) {
                const std::uint32_t lane = list_[index(i)];
                const int bucket = ones_[lane] - bins_.flags() - 1;
                if (bit >= bins_.suffix_bits(bucket)) continue;
                suffix_bit(tables, lane, bucket, bit);
                list_[index(left++)] = lane;
            }
            waiting = left;
        }
        for (int i = 0; i < beyond; ++i) {
            const std::uint32_t lane = all[index(i)];
            const std::uint32_t value = bins_.base(ones_[lane] - bins_.flags() - 1) + suffix_[lane];
            overflowed_ |= value > 0x7FFFFFFFu;
            const int bits = bins_.suffix_bits(ones_[lane] - bins_.flags() - 1);
            if (bits > 0) counts.see_suffix(index(ones_[lane] - bins_.flags() - 1), bits, suffix_[lane]);
            const auto level = static_cast<std::int32_t>(value & 0x7FFFFFFFu);
            levels[lane] = negative_[lane] ? -level : level;
        }
    }

    void suffix_bit(const Tables& tables, std::uint32_t lane, int bucket, int bit) {
        const bool wanted = (known_[lane] >> (bins_.suffix_bits(bucket) - 1 - bit)) & 1u;
        const std::uint32_t p = bit > 1 ? kHalf : tables.suffix[suffix_node(bit, suffix_[lane])][index(bucket)];
        suffix_[lane] = suffix_[lane] << 1 | static_cast<std::uint32_t>(coder_.code(static_cast<int>(lane), p, wanted));
    }

    Coder& coder_;
    const Binarization& bins_;
    bool overflowed_ = false;
    std::array<int, kMaxLanes> wanted_{};
    std::array<int, kMaxLanes> ones_{};
    std::array<std::uint32_t, kMaxLanes> negative_{};
    std::array<std::uint32_t, kMaxLanes> list_{};  // no bytes: those would be taken for parts of anything
    std::array<std::uint32_t, kMaxLanes> known_{};
    std::array<std::uint32_t, kMaxLanes> suffix_{};
};

// Walks over a slice step by step: finds the contexts, lets `step(group, column, active, contexts, levels)` make the
// levels of the step, learns from them. `refreshed()` is called when the probabilities have changed, and at the start;
// `begin_group(group)` before the first step of a group of rows.
template <class Step>
class SliceWalk {
  public:
    SliceWalk(const SliceGeometry& geometry, const LevelCoding& coding)
        : geometry_(geometry), coding_(coding), probabilities_(coding), magnitudes_(coding, geometry.row_width) {}

    Probabilities& probabilities() { return probabilities_; }
    const Magnitudes& magnitudes() const { return magnitudes_; }
    const LevelCoding& coding() const { return coding_; }
    // The trellis state with which the weight of a lane at the present step is coded.
    std::uint8_t state(int lane) const { return state_[static_cast<std::size_t>(lane)]; }

    void run(Step& step) {
        step.refreshed();
        const std::size_t groups = geometry_.groups();
        for (std::size_t group = 0; group < groups; ++group) {
            magnitudes_.begin_group(group);
            left_.fill(0);
            step.begin_group(group);
            const SliceGeometry::Group shape = geometry_.group(group);
            for (std::size_t column = 0; column < shape.columns; ++column) one_step(step, group, column, shape.active(column));
        }
    }

  private:
    void one_step(Step& step, std::size_t group, std::size_t column, int active) {
        contexts(column, active);
        step.step(group, column, active, contexts_, levels_.data());
        learn(column, active);
        if (++steps_ == block_) {
            // One lane has a refresh every 32 weights: half of its time, if it is slow.
            in_form(widest_form(), [this]() CABACUS_INLINE_LAMBDA { probabilities_.refresh(); });
            step.refreshed();
            steps_ = 0;
            if (block_ < kLastBlock) block_ *= 2;
        }
    }

    void contexts(std::size_t column, int active) {
        const int bias = 3 * magnitudes_.sign_bias(column);
        for (std::size_t l = 0; l < static_cast<std::size_t>(active); ++l) {
            side_[l] = static_cast<std::uint32_t>((left_[l] != 0) + (left_[l] > 0));
            contexts_.sign[l] = side_[l] + static_cast<std::uint32_t>(bias);
        }
        if (coding_.context == kPaper) {
            contexts_.unary = side_;
        } else {
            classes(magnitudes_.step_term(column), active);
        }
        if (coding_.trellis == 0) return;
        for (std::size_t l = 0; l < static_cast<std::size_t>(active); ++l) {
            contexts_.unary[l] = 2 * contexts_.unary[l] + static_cast<std::uint32_t>(trellis_quantizer(coding_.trellis, state_[l]));
        }
    }

    void classes(int term, int active) {
        const std::int32_t* rows = magnitudes_.rows();
        const bool uses_rows = magnitudes_.uses_rows();
        const int floor = coding_.class_floor;
        const bool halved = coding_.trellis != 0;
        for (std::size_t l = 0; l < static_cast<std::size_t>(active); ++l) {
            const int eighths = term + (uses_rows ? octave_eighths(rows[l]) : 0);
            contexts_.unary[l] = static_cast<std::uint32_t>(magnitude_class(eighths, floor, halved));
        }
    }

    void learn(std::size_t column, int active) {
        const int shift = magnitudes_.row_shift(column);
        std::int32_t* rows = magnitudes_.rows();
        int sum = 0;
        int signs = 0;
        for (std::size_t l = 0; l < static_cast<std::size_t>(active); ++l) {
            const std::int32_t level = levels_[l];
            const int magnitude = capped(level);
            sum += magnitude;
            signs += (level > 0) - (level < 0);
            rows[l] += ((magnitude << kMagnitudeBits) - rows[l]) >> shift;
            left_[l] = level;
        }
        if (coding_.trellis != 0) {
            for (std::size_t l = 0; l < static_cast<std::size_t>(active); ++l) state_[l] = trellis_next(coding_.trellis, state_[l], levels_[l]);
        }
        magnitudes_.end_step(column, sum, signs, active);
    }

    const SliceGeometry& geometry_;
    const LevelCoding& coding_;
    Probabilities probabilities_;
    Magnitudes magnitudes_;
    StepContexts contexts_{};
    std::array<std::uint32_t, kMaxLanes> side_{};  // 0, 1, 2: the left neighbour is zero, below, above
    std::array<std::int32_t, kMaxLanes> levels_{};
    std::array<std::int32_t, kMaxLanes> left_{};
    std::array<std::uint8_t, kMaxLanes> state_{};
    int steps_ = 0;
    int block_ = kFirstBlock;
};

}  // namespace cabacus
