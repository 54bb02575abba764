// The state machine of dependent quantization: which of two quantizers a weight has, by the levels before it. FORMAT 5.6.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr int kMaxStates = 8;

// Next state by state and by the parity of the level.
inline constexpr std::array<std::array<std::uint8_t, 2>, 4> kNextOf4 = {{{0, 2}, {2, 0}, {1, 3}, {3, 1}}};
inline constexpr std::array<std::array<std::uint8_t, 2>, 8> kNextOf8 = {
    {{0, 1}, {3, 2}, {5, 4}, {6, 7}, {1, 0}, {2, 3}, {4, 5}, {7, 6}}};

constexpr std::uint8_t trellis_next(int states, std::uint8_t state, std::int32_t level) {
    const std::size_t parity = static_cast<std::uint32_t>(level) & 1u;
    return states == 4 ? kNextOf4[state][parity] : kNextOf8[state][parity];
}

// 0: even multiples of the step. 1: odd ones, and zero.
constexpr int trellis_quantizer(int states, std::uint8_t state) { return states == 4 ? state >> 1 : state & 1; }

inline constexpr std::int32_t kMaxTrellisLevel = (1 << 30) - 1;

// The multiple of the step that a level within kMaxTrellisLevel stands for; of others, which are corrupt, any number.
inline std::int32_t trellis_multiple(int quantizer, std::int32_t level) {
    const std::int32_t less = quantizer == 0 ? 0 : (level > 0) - (level < 0);
    return static_cast<std::int32_t>(2 * static_cast<std::uint32_t>(level) - static_cast<std::uint32_t>(less));
}

}  // namespace cabacus
