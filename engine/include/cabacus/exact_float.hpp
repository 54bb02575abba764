// A floating-point number in two parts: its exponent, which is coded as a level, and sign and mantissa, kept as bits.
// FORMAT section 6.2.
#pragma once

#include "cabacus/bytes.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace cabacus {

// Flags of the fields.
inline constexpr std::uint8_t kZeroSigns = 1;  // elements of exponent field 0 have a sign, and no mantissa
inline constexpr std::uint8_t kZeroWhole = 2;  // they have all bits; else they are +0
inline constexpr std::uint8_t kEnds = 4;       // the last one of each mantissa is coded as a level
inline constexpr std::uint8_t kZeroFirst = 8;  // level 0 is exponent field 0
inline constexpr std::uint8_t kExactFlags = 15;

struct ExactFloat {
    int mantissa_bits = 0;  // of the type
    int exponent_bits = 0;
    int bits = 0;  // of the mantissa kept, <= mantissa_bits
    std::uint8_t flags = 0;
    std::uint32_t lowest = 1;  // the exponent field of index 1; that of index 0 is 0
    std::uint32_t center = 0;  // the index that the levels fold around
    std::uint32_t last = 0;    // the place of level 0, where ends are coded

    std::uint32_t greatest_field() const { return (1u << exponent_bits) - 1; }
    bool has_ends() const { return (flags & kEnds) != 0; }
    // Bits of an element of exponent field 0, and those of its mantissa among them.
    int zero_mantissa() const { return (flags & kZeroWhole) != 0 ? bits : 0; }
    int zero_width() const { return (flags & (kZeroSigns | kZeroWhole)) == 0 ? 0 : 1 + zero_mantissa(); }
};

// Numbers of up to 57 bits, one after the other, the lowest bit first. Beyond the end come zeros.
class BitReader {
  public:
    explicit BitReader(ByteSpan data) : data_(data) {}

    std::uint64_t take(int width) {
        const std::uint64_t at = position_ >> 3;
        return take_of(at + 8 <= data_.size() ? eight(at) : fewer(at), width);
    }

    // Whether `take_inside` may take so many bits.
    bool holds(std::uint64_t bits) const { return (position_ + bits) / 8 + 8 <= data_.size(); }

    std::uint64_t take_inside(int width) { return take_of(eight(position_ >> 3), width); }

    // All bytes were needed, and what is left of the last one is 0.
    bool finished() const {
        if ((position_ >> 3) + ((position_ & 7) != 0) != data_.size()) return false;
        return (position_ & 7) == 0 || data_.back() >> (position_ & 7) == 0;
    }

  private:
    // `word` is what begins with the byte at hand.
    std::uint64_t take_of(std::uint64_t word, int width) {
        const std::uint64_t value = word >> (position_ & 7) & ((std::uint64_t{1} << width) - 1);
        position_ += static_cast<std::uint64_t>(width);
        return value;
    }
    std::uint64_t eight(std::uint64_t at) const {
        if constexpr (std::endian::native != std::endian::little) return fewer(at);
        std::uint64_t word;
        std::memcpy(&word, data_.data() + at, sizeof(word));
        return word;
    }
    std::uint64_t fewer(std::uint64_t at) const {
        std::uint64_t word = 0;
        for (std::uint64_t i = 0; i < 8 && at + i < data_.size(); ++i) {
            word |= std::uint64_t{data_[static_cast<std::size_t>(at + i)]} << (8 * i);
        }
        return word;
    }

    ByteSpan data_;
    std::uint64_t position_ = 0;  // in bits
};

class BitWriter {
  public:
    void put(std::uint64_t value, int width) {
        pending_ |= value << held_;
        held_ += width;
        for (; held_ >= 8; held_ -= 8, pending_ >>= 8) bytes_.push_back(static_cast<std::uint8_t>(pending_));
    }
    std::vector<std::uint8_t> finish() {
        if (held_ > 0) bytes_.push_back(static_cast<std::uint8_t>(pending_));
        return std::move(bytes_);
    }

  private:
    std::vector<std::uint8_t> bytes_;
    std::uint64_t pending_ = 0;
    int held_ = 0;  // bits of it, below 8 between calls
};

}  // namespace cabacus
