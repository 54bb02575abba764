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
        const auto rows = static_cast<std::size_t>(lanes);
        for (std::size_t lane = 0; lane < rows; lane += kTile) {
            for (std::size_t step = 0; step < steps; step += kTile) {
                const std::int32_t* from = levels_.data() + step * kMaxLanes + lane;
                std::int32_t* tile = to + lane * row_width + step;
                if (lane + kTile <= rows && step + kTile <= steps) {
                    transpose(from, kMaxLanes, tile, row_width);
                    continue;
                }
                for (std::size_t l = 0; l < std::min(kTile, rows - lane); ++l) {
                    for (std::size_t s = 0; s < std::min(kTile, steps - step); ++s) tile[l * row_width + s] = from[s * kMaxLanes + l];
                }
            }
        }
    }

    // Reads what `flush` would write.
    void fill(std::size_t steps, int lanes, const std::int32_t* from, std::size_t row_width) {
        const auto rows = static_cast<std::size_t>(lanes);
        for (std::size_t lane = 0; lane < rows; lane += kTile) {
            for (std::size_t step = 0; step < steps; step += kTile) {
                const std::int32_t* tile = from + lane * row_width + step;
                std::int32_t* to = levels_.data() + step * kMaxLanes + lane;
                if (lane + kTile <= rows && step + kTile <= steps) {
                    transpose(tile, row_width, to, kMaxLanes);
                    continue;
                }
                for (std::size_t l = 0; l < std::min(kTile, rows - lane); ++l) {
                    for (std::size_t s = 0; s < std::min(kTile, steps - step); ++s) to[s * kMaxLanes + l] = tile[l * row_width + s];
                }
            }
        }
    }

  private:
    static constexpr std::size_t kTile = 4;

    // Turns four rows of four into columns: reading rows of the buffer one number at a time takes longer than decoding them.
    static void transpose(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width) {
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

// The words that lanes give off, in the order of the bins that made them, each with its lane.
class WordLog {
  public:
    explicit WordLog(std::size_t weights) : words_(weights / 4 + kRoom), lanes_(weights / 4 + kRoom) {}

    // Makes room for the words of a step.
    void reserve_step() {
        if (words_.size() - size_ >= kRoom) return;
        words_.resize(2 * words_.size());
        lanes_.resize(words_.size());
    }
    std::uint16_t* words() { return words_.data() + size_; }
    std::uint8_t* lanes() { return lanes_.data() + size_; }
    void advance(int count) { size_ += static_cast<std::size_t>(count); }

    // Adds one to the last word of every lane in the mask, and to those before where it runs over.
    void carry(std::uint64_t mask, int first_lane) {
        for (; mask != 0; mask &= mask - 1) carry(static_cast<std::uint8_t>(first_lane + std::countr_zero(mask)));
    }

    // Ends the lanes and appends the words in the order in which the decoder takes them: the first word of a lane is always
    // zero and left out, the second is taken at the start, and each further one two words of its lane later than its own.
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
            merged[places[static_cast<std::size_t>(lane)].next] = static_cast<std::uint16_t>((lows[lane] + 0xFFFFu) >> 16);
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

    void carry(std::uint8_t lane) {
        for (std::size_t at = size_; at-- > 0;) {
            if (lanes_[at] == lane && ++words_[at] != 0) return;
        }
    }

    std::vector<std::uint16_t> words_;
    std::vector<std::uint8_t> lanes_;
    std::size_t size_ = 0;
};

}  // namespace cabacus::lanes
