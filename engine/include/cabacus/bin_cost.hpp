// What bins cost: bits of a bin by its probability, in integers, so that decisions are the same on every machine.
#pragma once

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/probability.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus {

inline constexpr int kCostBits = 16;  // costs are in 2^-16 bits

namespace detail {

// -log2(p / 2^12) in 2^-16 bits, by repeated squaring.
constexpr std::uint32_t bin_cost(std::uint32_t probability) {
    std::uint64_t mantissa = probability;
    std::uint32_t whole = 0;
    while ((mantissa >> (whole + 1)) != 0) ++whole;
    mantissa <<= 32 - whole;  // 1.0 is 2^32
    std::uint32_t fraction = 0;
    for (int bit = 0; bit < kCostBits; ++bit) {
        mantissa = static_cast<std::uint64_t>((static_cast<std::uint64_t>(mantissa >> 1) * (mantissa >> 1)) >> 30);
        fraction <<= 1;
        if (mantissa >> 33 != 0) {
            mantissa >>= 1;
            fraction |= 1;
        }
    }
    return (static_cast<std::uint32_t>(kProbabilityBits) << kCostBits) - ((whole << kCostBits) | fraction);
}

constexpr std::array<std::uint32_t, kProbabilityOne + 1> make_costs() {
    std::array<std::uint32_t, kProbabilityOne + 1> costs{};
    costs[0] = 2u * kProbabilityBits << kCostBits;  // never coded
    for (std::uint32_t p = 1; p <= kProbabilityOne; ++p) costs[p] = bin_cost(p);
    return costs;
}

}  // namespace detail

inline const std::array<std::uint32_t, kProbabilityOne + 1> kCosts = detail::make_costs();

inline std::uint32_t cost_of(std::uint32_t probability, bool bin) {
    return kCosts[bin ? probability : kProbabilityOne - probability];
}

// The cost of every level in every context while a block lasts.
class LevelCosts {
  public:
    explicit LevelCosts(const Binarization& bins) : bins_(bins) {}

    void refresh(const Tables& tables) {
        for (std::size_t context = 0; context < kClasses; ++context) {
            std::uint32_t before = 0;
            for (int bin = 0; bin < bins_.unary(); ++bin) {
                const std::uint32_t p = tables.unary[static_cast<std::size_t>(bin)][context];
                ones_[context][static_cast<std::size_t>(bin)] = before + cost_of(p, false);
                before += cost_of(p, true);
            }
            ones_[context][static_cast<std::size_t>(bins_.unary())] = before;
            sign_[context] = {cost_of(tables.sign[context], false), cost_of(tables.sign[context], true)};
        }
        for (std::size_t node = 0; node < kSuffixNodes; ++node) {
            for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
                const std::uint32_t p = tables.suffix[node][bucket];
                suffix_[node][bucket] = {cost_of(p, false), cost_of(p, true)};
            }
        }
    }

    // Cost of a level in 2^-16 bits.
    std::uint32_t operator()(std::size_t unary_context, std::size_t sign_context, std::int32_t level) const {
        const std::uint32_t magnitude = magnitude_of(level);
        if (magnitude == 0) return ones_[unary_context][0];
        const std::uint32_t sign = sign_[sign_context][level < 0];
        if (magnitude <= static_cast<std::uint32_t>(bins_.flags())) return ones_[unary_context][magnitude] + sign;
        return beyond(unary_context, magnitude) + sign;
    }

    // Cost of a magnitude without its sign.
    std::uint32_t magnitude(std::size_t unary_context, std::uint32_t magnitude) const {
        if (magnitude <= static_cast<std::uint32_t>(bins_.flags())) return ones_[unary_context][magnitude];
        return beyond(unary_context, magnitude);
    }

  private:
    std::uint32_t beyond(std::size_t unary_context, std::uint32_t magnitude) const {
        const int ones = bins_.ones(magnitude);
        const int bucket = ones - bins_.flags() - 1;
        const int bits = bins_.suffix_bits(bucket);
        std::uint32_t cost = ones_[unary_context][static_cast<std::size_t>(ones)];
        if (bits == 0) return cost;
        const std::uint32_t rest = magnitude - bins_.base(bucket);
        const std::uint32_t first = (rest >> (bits - 1)) & 1u;
        const auto place = static_cast<std::size_t>(bucket);
        cost += suffix_[0][place][first];
        if (bits > 1) {
            cost += suffix_[suffix_node(1, first)][place][(rest >> (bits - 2)) & 1u];
            cost += static_cast<std::uint32_t>(bits - 2) << kCostBits;
        }
        return cost;
    }

    const Binarization& bins_;
    std::array<std::array<std::uint32_t, kSymbols>, kClasses> ones_{};
    std::array<std::array<std::uint32_t, 2>, kClasses> sign_{};
    std::array<std::array<std::array<std::uint32_t, 2>, kBuckets>, kSuffixNodes> suffix_{};
};

}  // namespace cabacus
