// A level as bins: a unary part (sigflag, AbsGr flags, prefix bins), a sign, and a suffix of the bucket. FORMAT 5.2.
#pragma once

#include "cabacus/level_coding.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace cabacus {

// What the unary part says by itself: u ones mean the magnitude u for u <= flags, else bucket u - flags - 1.
class Binarization {
  public:
    explicit Binarization(const LevelCoding& coding)
        : flags_(coding.flags), buckets_(coding.prefixes + 1), unary_(coding.unary()) {
        std::uint32_t base = flags_ + 1u;
        for (int bucket = 0; bucket < buckets_; ++bucket) {
            const bool last = bucket == buckets_ - 1;
            base_[index(bucket)] = base;
            bits_[index(bucket)] = last ? coding.width : static_cast<std::uint8_t>(coding.golomb + bucket);
            if (!last) base += 1u << bits_[index(bucket)];
        }
    }

    int flags() const { return flags_; }
    int unary() const { return unary_; }
    int buckets() const { return buckets_; }
    std::uint32_t base(int bucket) const { return base_[index(bucket)]; }
    int suffix_bits(int bucket) const { return bits_[index(bucket)]; }

    // The number of ones in the unary part of a magnitude.
    int ones(std::uint32_t magnitude) const {
        if (magnitude <= static_cast<std::uint32_t>(flags_)) return static_cast<int>(magnitude);
        int bucket = 0;
        while (bucket + 1 < buckets_ && magnitude >= base_[index(bucket + 1)]) ++bucket;
        return flags_ + 1 + bucket;
    }

    // The largest magnitude that has bins.
    std::uint32_t largest() const {
        const std::uint64_t top =
            base_[index(buckets_ - 1)] + ((std::uint64_t{1} << bits_[index(buckets_ - 1)]) - 1);
        return static_cast<std::uint32_t>(top < 0x7FFFFFFFu ? top : 0x7FFFFFFFu);
    }

  private:
    static std::size_t index(int bucket) { return static_cast<std::size_t>(bucket); }

    int flags_;
    int buckets_;
    int unary_;
    std::array<std::uint32_t, kMaxUnary> base_{};
    std::array<std::uint8_t, kMaxUnary> bits_{};
};

}  // namespace cabacus
