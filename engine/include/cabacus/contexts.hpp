// The adaptive probabilities of a slice: counted while a block is coded, refreshed at its end. FORMAT section 5.4.
#pragma once

#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr int kClasses = 16;      // of unary bins and of signs
inline constexpr int kSuffixNodes = 4;   // of a bucket: first bit, second bit after 0, after 1, (unused)
inline constexpr int kSymbols = kMaxUnary + 1;

// What the coder reads while a block lasts: P(1) in 2^-12, laid out for vector look-ups.
struct Tables {
    alignas(64) std::array<std::array<std::uint32_t, kClasses>, kMaxUnary> unary;
    alignas(64) std::array<std::uint32_t, kClasses> sign;
    alignas(64) std::array<std::uint32_t, kClasses * kSuffixNodes> suffix;
};

// What a block saw. `symbol` counts unary parts by class and number of ones.
struct BlockCounts {
    std::array<std::uint32_t, kClasses * kSymbols> symbol{};
    std::array<std::array<std::uint32_t, 2>, kClasses> sign{};
    std::array<std::array<std::uint32_t, 2>, kClasses * kSuffixNodes> suffix{};
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
                unary_[at(bin)][context].add(beyond, here);
                beyond = here;
            }
        }
    }

    void refresh_unary() {
        for (int bin = 0; bin < unary_bins_; ++bin) {
            BinCounts average;
            for (const BinCounts& counts : unary_[at(bin)]) {
                average.ones += counts.ones;
                average.total += counts.total;
            }
            const std::uint32_t prior = average.probability16(start_[at(bin)], start_weight_);
            for (std::size_t context = 0; context < kClasses; ++context) {
                tables_.unary[at(bin)][context] =
                    coder_probability(unary_[at(bin)][context].probability16(prior, kAverageWeight));
            }
        }
    }

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
    std::array<std::array<BinCounts, kClasses>, kMaxUnary> unary_{};
    std::array<BinCounts, kClasses> sign_{};
    std::array<BinCounts, kClasses * kSuffixNodes> suffix_{};
    Tables tables_{};
    BlockCounts counts_{};
};

}  // namespace cabacus
