// The adaptive probabilities of a slice: counted while a block is coded, refreshed at its end. FORMAT section 5.4.
#pragma once

#include "cabacus/inline.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr int kClasses = kRowSize;  // of unary bins and of signs
inline constexpr int kBuckets = kRowSize;
inline constexpr int kSuffixNodes = 3;   // of a bucket: first bit, second bit after 0, second bit after 1
inline constexpr int kSymbols = kMaxUnary + 1;

// The node of a suffix bit: the first, or the second by what the first was.
inline constexpr std::size_t suffix_node(int bit, std::uint32_t before) { return bit == 0 ? 0 : 1 + before; }

// What the coder reads while a block lasts: P(1) in 2^-12, laid out for vector look-ups.
struct Tables {
    alignas(64) std::array<Row, kMaxUnary> unary;
    alignas(64) Row sign;
    alignas(64) std::array<Row, kSuffixNodes> suffix;
};

// What a block saw.
struct BlockCounts {
    std::array<Row, kSymbols> unary{};                     // by the number of ones, then by class
    std::array<Row, 2> sign{};                             // by bin, then by context
    std::array<std::array<Row, 2>, kSuffixNodes> suffix{};  // by node, by bin, then by bucket
    bool any_suffix = false;

    // The contexts of a suffix's first two bits. `bits`: of the suffix, 1 or more.
    CABACUS_INLINE void see_suffix(std::size_t bucket, int bits, std::uint32_t suffix_value) {
        const std::uint32_t first = suffix_value >> (bits - 1) & 1u;
        ++suffix[0][first][bucket];
        if (bits > 1) ++suffix[suffix_node(1, first)][suffix_value >> (bits - 2) & 1u][bucket];
        any_suffix = true;
    }
};

// Blocks are 4, 8, 16, then always 32 steps long: learning is fast at first, and the loops are long later.
inline constexpr int kFirstBlock = 4;
inline constexpr int kLastBlock = 32;

class Probabilities {
  public:
    explicit Probabilities(const LevelCoding& coding) : unary_bins_(static_cast<std::size_t>(coding.unary())) {
        const bool stored = !coding.start.empty();
        start_weight_ = stored ? kStoredWeight : kUnstoredWeight;
        average_weight_ = stored ? kStoredAverageWeight : kAverageWeight;
        for (std::size_t bin = 0; bin < unary_bins_; ++bin) start_[bin] = stored ? coding.start[bin] : 1u << 15;
        tables_.sign.fill(kHalf);
        for (Row& row : tables_.suffix) row.fill(kHalf);
        refresh_unary(unary_bins_);
    }

    const Tables& tables() const { return tables_; }
    BlockCounts& counts() { return counts_; }

    // Ends a block: learns what it saw and makes the tables of the next one.
    CABACUS_INLINE void refresh() {
        refresh_unary(learn_unary());
        refresh_plain(sign_, counts_.sign, tables_.sign);
        if (counts_.any_suffix) {
            for (std::size_t node = 0; node < kSuffixNodes; ++node) {
                refresh_plain(suffix_[node], counts_.suffix[node], tables_.suffix[node]);
            }
        }
        counts_ = BlockCounts{};
    }

  private:
    // In sixteenths of a bin: how much the start, the bin's average over its classes, and one half weigh.
    static constexpr std::uint32_t kUnstoredWeight = 12;
    static constexpr std::uint32_t kStoredWeight = 2048;
    static constexpr std::int32_t kAverageWeight = 128;
    static constexpr std::int32_t kStoredAverageWeight = 512;
    static constexpr std::int32_t kPlainWeight = 64;

    CABACUS_INLINE void refresh_unary(std::size_t bins) {
        for (std::size_t bin = 0; bin < bins; ++bin) {
            unary_[bin].probabilities(unary_[bin].average(start_[bin], start_weight_), average_weight_, tables_.unary[bin]);
        }
    }

    // Returns how many bins were seen: the others keep their counts and tables.
    CABACUS_INLINE std::size_t learn_unary() {
        std::size_t seen = unary_bins_;
        while (seen > 0 && !any(counts_.unary[seen]) && !any(counts_.unary[seen - 1])) --seen;
        Row beyond = counts_.unary[seen];
        for (std::size_t bin = seen; bin-- > 0;) {
            Row here;
            for (std::size_t i = 0; i < kRowSize; ++i) here[i] = beyond[i] + counts_.unary[bin][i];
            unary_[bin].add(beyond, here);
            beyond = here;
        }
        return seen;
    }

    CABACUS_INLINE static bool any(const Row& row) {
        std::uint32_t all = 0;
        for (const std::uint32_t count : row) all |= count;
        return all != 0;
    }

    CABACUS_INLINE static void refresh_plain(CountRow& known, const std::array<Row, 2>& seen, Row& table) {
        Row total;
        for (std::size_t i = 0; i < kRowSize; ++i) total[i] = seen[0][i] + seen[1][i];
        known.add(seen[1], total);
        known.probabilities(1u << 15, kPlainWeight, table);
    }

    std::size_t unary_bins_;
    std::uint32_t start_weight_;
    std::int32_t average_weight_;
    std::array<std::uint32_t, kMaxUnary> start_{};  // 2^-16
    std::array<CountRow, kMaxUnary> unary_{};
    CountRow sign_;
    std::array<CountRow, kSuffixNodes> suffix_{};
    Tables tables_{};
    BlockCounts counts_{};
};

}  // namespace cabacus
