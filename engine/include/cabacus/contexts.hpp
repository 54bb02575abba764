// The adaptive probabilities of a slice: counted while a block is coded, refreshed at its end. FORMAT section 5.4.
#pragma once

#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr int kClasses = 16;      // of unary bins and of signs
inline constexpr int kBuckets = 16;
inline constexpr int kSuffixNodes = 3;   // of a bucket: first bit, second bit after 0, second bit after 1
inline constexpr int kSymbols = kMaxUnary + 1;

inline constexpr std::size_t suffix_context(int bucket, int node) {
    return static_cast<std::size_t>(node * kBuckets + bucket);
}

// What the coder reads while a block lasts: P(1) in 2^-12, laid out for vector look-ups.
struct Tables {
    alignas(64) std::array<std::array<std::uint32_t, kClasses>, kMaxUnary> unary;
    alignas(64) std::array<std::uint32_t, kClasses> sign;
    alignas(64) std::array<std::uint32_t, kBuckets * kSuffixNodes> suffix;
};

// What a block saw. `symbol` counts unary parts by class and number of ones.
struct BlockCounts {
    std::array<std::uint32_t, kClasses * kSymbols> symbol{};
    std::array<std::array<std::uint32_t, 2>, kClasses> sign{};
    std::array<std::array<std::uint32_t, 2>, kBuckets * kSuffixNodes> suffix{};
};

// Blocks are 4, 8, 16, then always 32 steps long: learning is fast at first, and the loops are long later.
inline constexpr int kFirstBlock = 4;
inline constexpr int kLastBlock = 32;

class Probabilities {
  public:
    explicit Probabilities(const LevelCoding& coding) : unary_bins_(coding.unary()) {
        const bool stored = !coding.start.empty();
        start_weight_ = stored ? kStoredWeight : kUnstoredWeight;
        for (int bin = 0; bin < unary_bins_; ++bin) {
            start_[at(bin)] = stored ? coding.start[at(bin)] : 1u << 15;
        }
        tables_.sign.fill(kHalf);
        tables_.suffix.fill(kHalf);
        refresh_unary();
    }

    const Tables& tables() const { return tables_; }
    BlockCounts& counts() { return counts_; }

    // Ends a block: learns what it saw and makes the tables of the next one.
    void refresh() {
        learn_unary();
        refresh_unary();
        refresh_plain(sign_, counts_.sign, tables_.sign);
        refresh_plain(suffix_, counts_.suffix, tables_.suffix);
        counts_ = BlockCounts{};
    }

  private:
    // In sixteenths of a bin: how much the start, the bin's average over its classes, and one half weigh.
    static constexpr std::uint32_t kUnstoredWeight = 12;
    static constexpr std::uint32_t kStoredWeight = 512;
    static constexpr std::uint32_t kAverageWeight = 128;
    static constexpr std::uint32_t kPlainWeight = 64;

    static constexpr std::size_t at(int index) { return static_cast<std::size_t>(index); }

    void learn_unary() {
        for (std::size_t context = 0; context < kClasses; ++context) {
            const std::uint32_t* seen = &counts_.symbol[context * kSymbols];
            std::uint32_t beyond = seen[unary_bins_];
            for (int bin = unary_bins_ - 1; bin >= 0; --bin) {
                const std::uint32_t here = beyond + seen[bin];
                if (here != 0) unary_[at(bin)].learn(context, beyond, here);
                beyond = here;
            }
        }
    }

    void refresh_unary() {
        for (int bin = 0; bin < unary_bins_; ++bin) {
            unary_[at(bin)].refresh(start_[at(bin)], start_weight_, tables_.unary[at(bin)].data());
        }
    }

    // The counts of one unary bin in all classes, laid out so that compilers refresh them with vectors.
    struct UnaryCounts {
        std::array<std::int32_t, kClasses> ones{};
        std::array<std::int32_t, kClasses> total{};

        void learn(std::size_t context, std::uint32_t new_ones, std::uint32_t new_total) {
            BinCounts counts{static_cast<std::uint32_t>(ones[context]), static_cast<std::uint32_t>(total[context])};
            counts.add(new_ones, new_total);
            ones[context] = static_cast<std::int32_t>(counts.ones);
            total[context] = static_cast<std::int32_t>(counts.total);
        }

        // Numbers below 2^53 and quotients whose distance from the next integer is at least 2^-16: dividing in float64
        // and cutting off is the integer division of FORMAT.
        void refresh(std::uint32_t start, std::uint32_t start_weight, std::uint32_t* table) const {
            BinCounts all;
            for (std::size_t context = 0; context < kClasses; ++context) {
                all.ones += static_cast<std::uint32_t>(ones[context]);
                all.total += static_cast<std::uint32_t>(total[context]);
            }
            const double average = kAverageWeight * static_cast<double>(all.probability16(start, start_weight));
            for (std::size_t context = 0; context < kClasses; ++context) {
                const double mass = 65536.0 * ones[context] + average;
                const auto p16 = static_cast<std::int32_t>(mass / (total[context] + static_cast<std::int32_t>(kAverageWeight)));
                const std::int32_t p = (p16 + 8) >> (16 - kProbabilityBits);
                table[context] = static_cast<std::uint32_t>(std::clamp(p, 1, static_cast<std::int32_t>(kProbabilityOne) - 1));
            }
        }
    };

    template <std::size_t n>
    static void refresh_plain(std::array<BinCounts, n>& known, const std::array<std::array<std::uint32_t, 2>, n>& seen,
                              std::array<std::uint32_t, n>& table) {
        for (std::size_t context = 0; context < n; ++context) {
            const std::uint32_t total = seen[context][0] + seen[context][1];
            if (total == 0) continue;
            known[context].add(seen[context][1], total);
            table[context] = coder_probability(known[context].probability16(1u << 15, kPlainWeight));
        }
    }

    int unary_bins_;
    std::uint32_t start_weight_;
    std::array<std::uint32_t, kMaxUnary> start_{};  // 2^-16
    std::array<UnaryCounts, kMaxUnary> unary_{};
    std::array<BinCounts, kClasses> sign_{};
    std::array<BinCounts, kBuckets * kSuffixNodes> suffix_{};
    Tables tables_{};
    BlockCounts counts_{};
};

}  // namespace cabacus
