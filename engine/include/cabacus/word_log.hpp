// The words of range-coder lanes on their way into one stream. FORMAT section 5.5.
#pragma once

#include "cabacus/level_coding.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cabacus {

// The words that lanes give off, in the order of the bins that made them, each with its lane.
class WordLog {
  public:
    explicit WordLog(std::size_t expected) : words_(expected), lanes_(expected) {}

    void push(std::uint16_t word, std::uint8_t lane) {
        make_room(1);
        words_[size_] = word;
        lanes_[size_++] = lane;
    }

    // For many at once: room behind words() and lanes(), to be filled and then advanced over.
    void make_room(std::size_t room) {
        if (words_.size() - size_ >= room) return;
        words_.resize(2 * words_.size() + room);
        lanes_.resize(words_.size());
    }
    std::uint16_t* words() { return words_.data() + size_; }
    std::uint8_t* lanes() { return lanes_.data() + size_; }
    void advance(int count) { size_ += static_cast<std::size_t>(count); }

    // Adds one to the last word of a lane, and to those before where it runs over.
    void carry(std::uint8_t lane) {
        for (std::size_t at = size_; at-- > 0;) {
            if (lanes_[at] == lane && ++words_[at] != 0) return;
        }
    }

    // Ends the lanes and appends the words in the order in which the decoder takes them: the first word of a lane is always
    // zero and left out, the second is taken at the start, and each further one two words of its lane later than its own.
    // A lane ends with the number that has the most zeros at its end in its interval, which begins at `lows`: one word more.
    void finish(const std::uint32_t* lows, int used, std::vector<std::uint8_t>& out) {
        for (int lane = 0; lane < used; ++lane) {
            if (lows[lane] + 0xFFFFu < lows[lane]) carry(static_cast<std::uint8_t>(lane));
        }
        std::vector<std::uint16_t> merged(size_ + static_cast<std::size_t>(used));
        std::array<Places, kMaxLanes> places;
        for (std::size_t lane = 0; lane < kMaxLanes; ++lane) places[lane] = {kNowhere, lane};
        for (std::size_t i = 0; i < size_; ++i) {
            Places& lane = places[lanes_[i]];
            if (lane.next != kNowhere) merged[lane.next] = words_[i];
            lane.next = lane.after;
            lane.after = static_cast<std::size_t>(used) + i;
        }
        for (int lane = 0; lane < used; ++lane) {
            const std::size_t place = places[static_cast<std::size_t>(lane)].next;
            if (place != kNowhere) merged[place] = static_cast<std::uint16_t>((lows[lane] + 0xFFFFu) >> 16);
        }
        while (!merged.empty() && merged.back() == 0) merged.pop_back();
        out.reserve(out.size() + 2 * merged.size() + 4);
        for (const std::uint16_t word : merged) {
            out.push_back(static_cast<std::uint8_t>(word & 0xFF));
            out.push_back(static_cast<std::uint8_t>(word >> 8));
        }
    }

  private:
    static constexpr std::size_t kNowhere = ~std::size_t{0};
    struct Places {  // where the next word of a lane goes, and the one after it
        std::size_t next;
        std::size_t after;
    };

    std::vector<std::uint16_t> words_;
    std::vector<std::uint8_t> lanes_;
    std::size_t size_ = 0;
};

}  // namespace cabacus
