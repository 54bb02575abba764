// The binary range coder of one lane: 32-bit range, 12-bit probabilities, 16-bit words. FORMAT section 5.5.
#pragma once

#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cabacus {

inline constexpr std::uint32_t kFirstRange = 1u << 16;
inline constexpr std::uint32_t kLeastRange = 1u << 16;  // a range below it takes the next word

// Writes bins into lanes. The words of all lanes are merged in the order in which the decoder needs them.
class RangeEncoder {
  public:
    explicit RangeEncoder(int lanes) : lanes_(static_cast<std::size_t>(lanes)) {
        for (Lane& lane : lanes_) lane.words.reserve(64);
    }

    bool code(int index, std::uint32_t probability, bool bin) {
        Lane& lane = lanes_[static_cast<std::size_t>(index)];
        const std::uint32_t bound = (lane.range >> kProbabilityBits) * probability;
        const std::uint32_t raised = bin ? 0 : bound;  // without a branch: most bins are hard to foresee
        lane.low += raised;
        lane.range = bin ? bound : lane.range - bound;
        if (lane.low < raised) carry(lane);
        if (lane.range < kLeastRange) {
            lane.words.push_back(static_cast<std::uint16_t>(lane.low >> 16));
            lane.low <<= 16;
            lane.range <<= 16;
            order_.push_back(static_cast<std::uint8_t>(index));
        }
        return bin;
    }

    // Ends the lanes and appends their merged words, little-endian. Trailing zero words are left out.
    void finish(std::vector<std::uint8_t>& out) {
        for (Lane& lane : lanes_) flush(lane);
        std::vector<std::uint16_t> merged;
        merged.reserve(order_.size() + lanes_.size());
        std::array<std::size_t, kMaxLanes> next{};
        // The first word of every lane is always zero, since a lane starts with a range of one word: it is not written.
        for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
            merged.push_back(lanes_[lane].words[1]);
            next[lane] = 2;
        }
        for (const std::uint8_t lane : order_) merged.push_back(lanes_[lane].words[next[lane]++]);
        while (!merged.empty() && merged.back() == 0) merged.pop_back();
        out.reserve(out.size() + 2 * merged.size() + 4);
        for (const std::uint16_t word : merged) {
            out.push_back(static_cast<std::uint8_t>(word & 0xFF));
            out.push_back(static_cast<std::uint8_t>(word >> 8));
        }
    }

  private:
    struct Lane {
        std::uint32_t low = 0;
        std::uint32_t range = kFirstRange;  // >= kLeastRange between bins
        std::vector<std::uint16_t> words;
    };

    static void carry(Lane& lane) {
        std::size_t at = lane.words.size();
        while (++lane.words[--at] == 0) {
        }
    }

    // The number with the most zeros at its end in the lane's interval: one more word, then zeros.
    static void flush(Lane& lane) {
        const std::uint32_t value = lane.low + 0xFFFFu;
        if (value < lane.low) carry(lane);
        lane.words.push_back(static_cast<std::uint16_t>(value >> 16));
        lane.words.push_back(0);
    }

    std::vector<Lane> lanes_;
    std::vector<std::uint8_t> order_;
};

// Reads bins from lanes. Beyond the last word come zeros.
class RangeDecoder {
  public:
    RangeDecoder(std::span<const std::uint8_t> words, int lanes)
        : next_(words.data()), end_(words.data() + words.size()), lanes_(lanes) {
        range_.fill(kFirstRange);
        for (int lane = 0; lane < lanes; ++lane) code_[static_cast<std::size_t>(lane)] = word();
    }

    bool code(int index, std::uint32_t probability, bool /*unknown*/) {
        const auto lane = static_cast<std::size_t>(index);
        const std::uint32_t bound = (range_[lane] >> kProbabilityBits) * probability;
        const bool bin = code_[lane] < bound;
        range_[lane] = bin ? bound : range_[lane] - bound;
        code_[lane] -= bin ? 0 : bound;
        if (range_[lane] < kLeastRange) {
            range_[lane] <<= 16;
            code_[lane] = (code_[lane] << 16) | word();
        }
        return bin;
    }

    // Whether the end is the encoder's: every word is used, and every lane holds the number that its flush chose.
    bool finished() const {
        for (int lane = 0; lane < lanes_; ++lane) {
            if (code_[static_cast<std::size_t>(lane)] > 0xFFFFu) return false;
        }
        return next_ == end_;
    }

  private:
    std::uint32_t word() {
        if (end_ - next_ < 2) {
            next_ = end_;
            return 0;
        }
        const std::uint32_t value = next_[0] | static_cast<std::uint32_t>(next_[1]) << 8;
        next_ += 2;
        return value;
    }

    const std::uint8_t* next_;
    const std::uint8_t* end_;
    int lanes_;
    std::array<std::uint32_t, kMaxLanes> range_{};
    std::array<std::uint32_t, kMaxLanes> code_{};
};

}  // namespace cabacus
