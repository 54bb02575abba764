// Takes numbers, parameters and shapes off the front of an input; zeros where it has ended.
#pragma once

#include "cabacus/geometry.hpp"
#include "cabacus/level_coding.hpp"
#include "targets.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fuzz {

class Drawer {
  public:
    explicit Drawer(Input input) : left_(input) {}

    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const std::uint8_t value = left_.front();
        left_ = left_.subspan(1);
        return value;
    }
    std::uint32_t u16() {
        const std::uint32_t low = byte();
        return low | static_cast<std::uint32_t>(byte()) << 8;
    }
    std::uint32_t u32() {
        const std::uint32_t low = u16();
        return low | u16() << 16;
    }
    // 0 .. most.
    std::uint8_t upto(int most) { return static_cast<std::uint8_t>(byte() % (most + 1)); }
    Input rest() const { return left_; }

    cabacus::LevelCoding coding() {
        cabacus::LevelCoding coding;
        coding.flags = upto(cabacus::kMaxFlags);
        coding.prefixes = upto(cabacus::kMaxFlags - coding.flags);
        coding.golomb = upto(cabacus::kMaxSuffix - coding.prefixes);
        coding.width = upto(cabacus::kMaxWidth);
        coding.context = upto(cabacus::kContextSets - 1);
        const std::uint8_t rates = byte();
        coding.row_shift = rates & 7;
        coding.column_shift = rates >> 4 & 7;
        coding.class_floor = upto(cabacus::kMaxClassFloor);
        const std::uint8_t kind = byte();
        coding.trellis = static_cast<std::uint8_t>(kind % 3 * 4);
        coding.lanes_log2 = upto(cabacus::kMaxLanesLog2);
        if ((kind & 0x80) != 0) {
            for (int bin = 0; bin < coding.unary(); ++bin) coding.start.push_back(static_cast<std::uint16_t>(u16()));
        }
        return coding;
    }

  private:
    Input left_;
};

}  // namespace fuzz
