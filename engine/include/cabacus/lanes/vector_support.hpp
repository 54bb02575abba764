// What the vector decoders share and need no vectors for: the words with room behind them, and counting symbols.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "cabacus/dependent_states.hpp"
#include "cabacus/error.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/target.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/magnitudes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#if CABACUS_X86_LANES
#include <emmintrin.h>
#endif

namespace cabacus::lanes {

// The most words that one step can take: every bin of every lane may take one.
inline constexpr std::size_t kStepBins = kMaxUnary + 1 + kMaxWidth;
inline constexpr std::size_t kRoom = kStepBins * kMaxLanes * 2 + 64;

// The words of a slice, and zeros behind them for whole vectors to read and for hostile streams to run into.
class PaddedWords {
  public:
    explicit PaddedWords(std::span<const std::uint8_t> words) : bytes_(words.size() + kRoom), size_(words.size()) {
        if (!words.empty()) std::memcpy(bytes_.data(), words.data(), words.size());
    }
    const std::uint8_t* begin() const { return bytes_.data(); }
    const std::uint8_t* end() const { return bytes_.data() + size_; }

  private:
    std::vector<std::uint8_t> bytes_;
    std::size_t size_;
};

// What a bucket needs, as tables for look-ups by bucket.
struct BucketTables {
    alignas(64) std::array<std::uint32_t, kBuckets> bits{};
    alignas(64) std::array<std::uint32_t, kBuckets> base{};

    explicit BucketTables(const Binarization& bins) {
        for (int bucket = 0; bucket < bins.buckets(); ++bucket) {
            bits[static_cast<std::size_t>(bucket)] = static_cast<std::uint32_t>(bins.suffix_bits(bucket));
            base[static_cast<std::size_t>(bucket)] = bins.base(bucket);
        }
    }
};

// Next states by 2 x state + parity, for look-ups.
struct StateTable {
    alignas(64) std::array<std::uint32_t, 2 * kMaxStates> next{};

    explicit StateTable(int states) {
        for (int state = 0; state < states; ++state) {
            for (std::int32_t parity = 0; parity < 2; ++parity) {
                next[static_cast<std::size_t>(2 * state + parity)] =
                    trellis_next(states, static_cast<std::uint8_t>(state), parity);
            }
        }
    }
};

// Symbols (class and number of ones) of a block, one byte each, and their counting.
class SymbolLog {
  public:
    std::uint8_t* next(int lanes) {
        std::uint8_t* at = symbols_.data() + size_;
        size_ += static_cast<std::size_t>(lanes);
        return at;
    }

    // Adds the symbols to the counts, less `absent` that stand for lanes without a level: those are kAbsent.
    static constexpr std::uint8_t kAbsent = 0xFF;
    void count_into(BlockCounts& counts, std::uint32_t absent) {
        // Four counters a symbol: consecutive equal symbols do not wait for each other.
        std::array<std::array<std::uint16_t, 256>, 4> seen{};
        for (std::size_t i = 0; i < size_; i += 4) {  // size_ is a multiple of eight lanes
            ++seen[0][symbols_[i]];
            ++seen[1][symbols_[i + 1]];
            ++seen[2][symbols_[i + 2]];
            ++seen[3][symbols_[i + 3]];
        }
        for (std::size_t symbol = 0; symbol < 256; ++symbol) {
            counts.symbol[symbol] += static_cast<std::uint32_t>(seen[0][symbol]) + seen[1][symbol] + seen[2][symbol] + seen[3][symbol];
        }
        counts.symbol[kAbsent] -= absent;
        size_ = 0;
    }

  private:
    std::array<std::uint8_t, kLastBlock * kMaxLanes> symbols_;
    std::size_t size_ = 0;
};
static_assert(kClasses * kSymbols == 256);

// Levels of up to kLastBlock steps, lane beside lane, on their way to rows.
class StepBuffer {
  public:
    std::int32_t* step(std::size_t index) { return levels_.data() + index * kMaxLanes; }

    // Writes the first `steps` of them to the rows of `lanes` lanes, `row_width` apart, beginning at `to`.
    void flush(std::size_t steps, int lanes, std::int32_t* to, std::size_t row_width) const {
        transpose(levels_.data(), kMaxLanes, to, row_width, steps, static_cast<std::size_t>(lanes));
    }

    // Reads what `flush` would write.
    void fill(std::size_t steps, int lanes, const std::int32_t* from, std::size_t row_width) {
        transpose(from, row_width, levels_.data(), kMaxLanes, static_cast<std::size_t>(lanes), steps);
    }

  private:
    static constexpr std::size_t kTile = 4;

    // Turns `rows` rows of `columns` numbers into columns, in tiles: one number at a time takes longer than decoding them.
    static void transpose(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width,
                          std::size_t rows, std::size_t columns) {
        for (std::size_t row = 0; row < rows; row += kTile) {
            for (std::size_t column = 0; column < columns; column += kTile) {
                const std::int32_t* tile = from + row * from_width + column;
                std::int32_t* out = to + column * to_width + row;
                if (row + kTile <= rows && column + kTile <= columns) {
                    transpose_tile(tile, from_width, out, to_width);
                    continue;
                }
                for (std::size_t r = 0; r < std::min(kTile, rows - row); ++r) {
                    for (std::size_t c = 0; c < std::min(kTile, columns - column); ++c) out[c * to_width + r] = tile[r * from_width + c];
                }
            }
        }
    }

    static void transpose_tile(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width) {
#if CABACUS_X86_LANES
        const auto row = [&](std::size_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_width)); };
        const __m128i low01 = _mm_unpacklo_epi32(row(0), row(1));
        const __m128i low23 = _mm_unpacklo_epi32(row(2), row(3));
        const __m128i high01 = _mm_unpackhi_epi32(row(0), row(1));
        const __m128i high23 = _mm_unpackhi_epi32(row(2), row(3));
        const auto put = [&](std::size_t i, __m128i value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_width), value); };
        put(0, _mm_unpacklo_epi64(low01, low23));
        put(1, _mm_unpackhi_epi64(low01, low23));
        put(2, _mm_unpacklo_epi64(high01, high23));
        put(3, _mm_unpackhi_epi64(high01, high23));
#else
        for (std::size_t i = 0; i < kTile; ++i) {
            for (std::size_t j = 0; j < kTile; ++j) to[j * to_width + i] = from[i * from_width + j];
        }
#endif
    }

    alignas(64) std::array<std::int32_t, kLastBlock * kMaxLanes> levels_{};
};

}  // namespace cabacus::lanes
