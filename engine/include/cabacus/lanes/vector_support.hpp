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

    // Adds the symbols of bins beyond which there are `most` ones to the counts. `absent` lanes had no level: theirs is kAbsent.
    static constexpr std::uint8_t kAbsent = 0xFF;
    CABACUS_INLINE void count_into(BlockCounts& counts, int most, std::uint32_t absent) {
        // Eight counters a symbol: equal symbols, which are many, do not wait for each other.
        constexpr std::size_t kCounters = 8;
        std::array<std::array<std::uint16_t, kRowSize * kSymbols>, kCounters> seen{};
        for (std::size_t i = 0; i < size_; i += kCounters) {  // size_ is a multiple of eight lanes
#pragma GCC unroll 8
            for (std::size_t counter = 0; counter < kCounters; ++counter) ++seen[counter][symbols_[i + counter]];
        }
        for (std::size_t ones = 0; ones <= static_cast<std::size_t>(most); ++ones) {
            for (std::size_t i = 0; i < kRowSize; ++i) {
                std::uint32_t sum = 0;
                for (std::size_t counter = 0; counter < kCounters; ++counter) sum += seen[counter][ones * kRowSize + i];
                counts.unary[ones][i] += sum;
            }
        }
        if (most == kMaxUnary) counts.unary[kMaxUnary][kRowSize - 1] -= absent;
        size_ = 0;
    }

  private:
    std::array<std::uint8_t, kLastBlock * kMaxLanes> symbols_;
    std::size_t size_ = 0;
};
static_assert(kRowSize * kSymbols == 256);

}  // namespace cabacus::lanes
