// The order in which a slice's bins are coded, written once for encoder, decoder and cost meter. FORMAT section 5.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/magnitudes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

// The contexts of one step: a class for the unary bins and one for the sign, lane by lane.
struct StepContexts {
    std::array<std::uint8_t, kMaxLanes> unary;
    std::array<std::uint8_t, kMaxLanes> sign;
};

// Codes the bins of one step. `Coder::code(lane, probability, bin)` gives the bin back; one that reads ignores the third
// argument, and the levels are then results.
template <class Coder>
class BinWalk {
  public:
    BinWalk(Coder& coder, const Binarization& bins) : coder_(coder), bins_(bins) {}

    void step(const Tables& tables, BlockCounts& counts, const StepContexts& at, int active, std::int32_t* levels) {
        int waiting = 0;
        for (int lane = 0; lane < active; ++lane) {
            wanted_[index(lane)] = bins_.ones(magnitude_of(levels[lane]));
            ones_[index(lane)] = 0;
            list_[index(waiting)] = static_cast<std::uint8_t>(lane);
            waiting += unary_bin(tables, at, lane, 0);
        }
        const int nonzero = waiting;
        std::array<std::uint8_t, kMaxLanes> with_sign = list_;
        for (int i = 0; i < nonzero; ++i) {
            const int lane = with_sign[index(i)];
            const std::size_t context = at.sign[index(lane)];
            negative_[index(lane)] = coder_.code(lane, tables.sign[context], levels[lane] < 0);
            ++counts.sign[context][negative_[index(lane)]];
        }
        for (int bin = 1; bin < bins_.unary() && waiting > 0; ++bin) {
            int left = 0;
            for (int i = 0; i < waiting; ++i) {
                const std::uint8_t lane = list_[index(i)];
                list_[index(left)] = lane;
                left += unary_bin(tables, at, lane, bin);
            }
            waiting = left;
        }
        suffixes(tables, counts, with_sign, nonzero, levels);
        for (int lane = 0; lane < active; ++lane) {
            ++counts.symbol[at.unary[index(lane)] * std::size_t{kSymbols} + static_cast<std::size_t>(ones_[index(lane)])];
            if (ones_[index(lane)] == 0) levels[lane] = 0;
        }
    }

    // A magnitude did not fit into a level: the stream is corrupt.
    bool overflowed() const { return overflowed_; }

  private:
    static constexpr std::size_t index(int i) { return static_cast<std::size_t>(i); }

    int unary_bin(const Tables& tables, const StepContexts& at, int lane, int bin) {
        const bool one =
            coder_.code(lane, tables.unary[index(bin)][at.unary[index(lane)]], wanted_[index(lane)] > bin);
        ones_[index(lane)] += one;
        return one;
    }

    // Suffix bits of all lanes beyond the AbsGr flags, highest first; then the levels of all lanes that are not zero.
    void suffixes(const Tables& tables, BlockCounts& counts, const std::array<std::uint8_t, kMaxLanes>& lanes, int nonzero,
                  std::int32_t* levels) {
        int waiting = 0;
        for (int i = 0; i < nonzero; ++i) {
            const std::uint8_t lane = lanes[index(i)];
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
        const std::array<std::uint8_t, kMaxLanes> all = list_;
        for (int bit = 0; waiting > 0; ++bit) {
            int left = 0;
            for (int i = 0; i < waiting; ++i) {
                const std::uint8_t lane = list_[index(i)];
                const int bucket = ones_[lane] - bins_.flags() - 1;
                if (bit >= bins_.suffix_bits(bucket)) continue;
                suffix_bit(tables, counts, lane, bucket, bit);
                list_[index(left++)] = lane;
            }
            waiting = left;
        }
        for (int i = 0; i < beyond; ++i) {
            const std::uint8_t lane = all[index(i)];
            const std::uint32_t value = bins_.base(ones_[lane] - bins_.flags() - 1) + suffix_[lane];
            overflowed_ |= value > 0x7FFFFFFFu;
            const auto level = static_cast<std::int32_t>(value & 0x7FFFFFFFu);
            levels[lane] = negative_[lane] ? -level : level;
        }
    }

    void suffix_bit(const Tables& tables, BlockCounts& counts, std::uint8_t lane, int bucket, int bit) {
        const bool wanted = (known_[lane] >> (bins_.suffix_bits(bucket) - 1 - bit)) & 1u;
        if (bit > 1) {
            suffix_[lane] = suffix_[lane] << 1 | static_cast<std::uint32_t>(coder_.code(lane, kHalf, wanted));
            return;
        }
        const std::size_t node = suffix_context(bucket, bit == 0 ? 0 : 1 + static_cast<int>(suffix_[lane]));
        const bool one = coder_.code(lane, tables.suffix[node], wanted);
        ++counts.suffix[node][one];
        suffix_[lane] = suffix_[lane] << 1 | static_cast<std::uint32_t>(one);
    }

    Coder& coder_;
    const Binarization& bins_;
    bool overflowed_ = false;
    std::array<int, kMaxLanes> wanted_{};
    std::array<int, kMaxLanes> ones_{};
    std::array<bool, kMaxLanes> negative_{};
    std::array<std::uint8_t, kMaxLanes> list_{};
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
            probabilities_.refresh();
            step.refreshed();
            steps_ = 0;
            if (block_ < kLastBlock) block_ *= 2;
        }
    }

    void contexts(std::size_t column, int active) {
        const int term = magnitudes_.step_term(column);
        const int bias = 3 * magnitudes_.sign_bias(column);
        const std::int32_t* rows = magnitudes_.rows();
        for (int lane = 0; lane < active; ++lane) {
            const auto l = static_cast<std::size_t>(lane);
            const int side = left_[l] == 0 ? 0 : left_[l] < 0 ? 1 : 2;
            int unary = coding_.context == kPaper
                            ? side
                            : magnitude_class(coding_, term + (magnitudes_.uses_rows() ? octave_eighths(rows[l]) : 0));
            if (coding_.trellis != 0) unary = 2 * unary + trellis_quantizer(coding_.trellis, state_[l]);
            contexts_.unary[l] = static_cast<std::uint8_t>(unary);
            contexts_.sign[l] = static_cast<std::uint8_t>(side + bias);
        }
    }

    void learn(std::size_t column, int active) {
        const int shift = magnitudes_.row_shift(column);
        std::int32_t* rows = magnitudes_.rows();
        int sum = 0;
        int signs = 0;
        for (int lane = 0; lane < active; ++lane) {
            const auto l = static_cast<std::size_t>(lane);
            const std::int32_t level = levels_[l];
            const int magnitude = capped(level);
            sum += magnitude;
            signs += (level > 0) - (level < 0);
            rows[l] += ((magnitude << kMagnitudeBits) - rows[l]) >> shift;
            left_[l] = level;
            if (coding_.trellis != 0) state_[l] = trellis_next(coding_.trellis, state_[l], level);
        }
        magnitudes_.end_step(column, sum, signs, active);
    }

    const SliceGeometry& geometry_;
    const LevelCoding& coding_;
    Probabilities probabilities_;
    Magnitudes magnitudes_;
    StepContexts contexts_{};
    std::array<std::int32_t, kMaxLanes> levels_{};
    std::array<std::int32_t, kMaxLanes> left_{};
    std::array<std::uint8_t, kMaxLanes> state_{};
    int steps_ = 0;
    int block_ = kFirstBlock;
};

}  // namespace cabacus
