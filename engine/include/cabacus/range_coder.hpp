// The binary range coder of one lane: 32-bit range, 12-bit probabilities, 16-bit words. FORMAT section 5.5.
#pragma once

#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"
#include "cabacus/word_log.hpp"

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
    explicit RangeEncoder(int lanes) : log_(0), lanes_(lanes) { range_.fill(kFirstRange); }

    bool code(int index, std::uint32_t probability, bool bin) {
        const auto lane = static_cast<std::size_t>(index);
        const std::uint32_t bound = (range_[lane] >> kProbabilityBits) * probability;
        const std::uint32_t raised = bin ? 0 : bound;  // without a branch: most bins are hard to foresee
        low_[lane] += raised;
        range_[lane] = bin ? bound : range_[lane] - bound;
        if (low_[lane] < raised) log_.carry(static_cast<std::uint8_t>(index));
        if (range_[lane] < kLeastRange) {
            log_.push(static_cast<std::uint16_t>(low_[lane] >> 16), static_cast<std::uint8_t>(index));
            low_[lane] <<= 16;
            range_[lane] <<= 16;
        }
        return bin;
    }

    // Ends the lanes and appends their merged words, little-endian. Trailing zero words are left out.
    void finish(std::vector<std::uint8_t>& out) { log_.finish(low_.data(), lanes_, out); }

  private:
    WordLog log_;
    int lanes_;
    std::array<std::uint32_t, kMaxLanes> low_{};
    std::array<std::uint32_t, kMaxLanes> range_{};  // >= kLeastRange between bins
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
        const std::uint32_t one = 0u - static_cast<std::uint32_t>(bin);  // as a mask: no compiler makes a branch of it
        const std::uint32_t range = (bound & one) | ((range_[lane] - bound) & ~one);
        const std::uint32_t code = code_[lane] - (bound & ~one);
        const bool needs = range < kLeastRange;
        const int shift = needs ? 16 : 0;
        range_[lane] = range << shift;
        code_[lane] = (code << shift) | (needs ? word() : 0);
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
