// The parameters of a stream of levels: binarization, contexts, lanes. FORMAT section 5.
#pragma once

#include <cstdint>
#include <vector>

namespace cabacus {

inline constexpr int kMaxFlags = 14;      // AbsGr flags
inline constexpr int kMaxUnary = 15;      // sigflag, AbsGr flags and prefix bins of one level together
inline constexpr int kMaxLanesLog2 = 6;
inline constexpr int kMaxLanes = 1 << kMaxLanesLog2;
inline constexpr int kMaxWidth = 31;      // bits of the remainder after the last prefix bin
inline constexpr int kMaxSuffix = 24;     // golomb + prefixes
inline constexpr int kMaxShift = 7;       // of running magnitudes
inline constexpr int kMaxClassFloor = 31;

enum ContextSet : std::uint8_t { kPaper = 0, kRow = 1, kColumn = 2, kRowColumn = 3 };
inline constexpr int kContextSets = 4;

struct LevelCoding {
    std::uint8_t flags = 10;        // n: AbsGr(1..n) flags, <= kMaxFlags
    std::uint8_t golomb = 0;        // order of the Exp-Golomb remainder
    std::uint8_t prefixes = 4;      // prefix bins; 1 + flags + prefixes <= kMaxUnary. 0: fixed length of `width` bits
    std::uint8_t width = 0;         // bits of the remainder after the last prefix bin, <= kMaxWidth
    std::uint8_t context = 0;       // id of the context set
    std::uint8_t row_shift = 0;     // the newest magnitude counts 2^-shift
    std::uint8_t column_shift = 0;
    std::uint8_t class_floor = 8;   // half octaves of magnitude that share class 0
    std::uint8_t trellis = 0;       // states of the dependent quantizer: 0, 4 or 8
    std::uint8_t lanes_log2 = 0;    // <= kMaxLanesLog2
    std::vector<std::uint16_t> start;  // P(1) of the unary bins in 2^-16, unary() of them; empty: 0.5

    int lanes() const { return 1 << lanes_log2; }
    // sigflag, AbsGr flags and prefix bins: the unary part of a level has at most that many bins.
    int unary() const { return 1 + flags + prefixes; }

    friend bool operator==(const LevelCoding&, const LevelCoding&) = default;
};

// The magnitude of any level, that of -2^31 too.
inline std::uint32_t magnitude_of(std::int32_t level) {
    const auto bits = static_cast<std::uint32_t>(level);
    return level < 0 ? 0u - bits : bits;
}

}  // namespace cabacus
