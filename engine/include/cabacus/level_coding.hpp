// The parameters of a stream of levels: binarization, contexts, lanes. FORMAT section 5.
#pragma once

#include <cstdint>
#include <vector>

namespace cabacus {

inline constexpr int kMaxFlags = 14;      // AbsGr flags
inline constexpr int kMaxUnary = 15;      // sigflag, AbsGr flags and prefix bins of one level together
inline constexpr int kMaxLanesLog2 = 6;

struct LevelCoding {
    std::uint8_t flags = 10;        // n: AbsGr(1..n) flags, <= kMaxFlags
    std::uint8_t golomb = 0;        // order of the Exp-Golomb remainder
    std::uint8_t prefixes = 4;      // prefix bins; 1 + flags + prefixes <= kMaxUnary. 0: fixed length of `width` bits
    std::uint8_t width = 0;         // bits of the remainder after the last prefix bin, <= 32
    std::uint8_t context = 0;       // id of the context set
    std::uint8_t row_shift = 0;     // the newest magnitude counts 2^-shift
    std::uint8_t column_shift = 0;
    std::uint8_t trellis = 0;       // states of the dependent quantizer: 0, 4 or 8
    std::uint8_t lanes_log2 = 0;    // <= kMaxLanesLog2
    std::vector<std::uint16_t> start;  // probabilities that the contexts start from; empty: 0.5

    friend bool operator==(const LevelCoding&, const LevelCoding&) = default;
};

}  // namespace cabacus
