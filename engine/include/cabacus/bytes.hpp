// Bytes as numbers and strings, little-endian on every host: a reader that stays in its span, a writer. FORMAT section 1.
#pragma once

#include "cabacus/error.hpp"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cabacus {

using ByteSpan = std::span<const std::uint8_t>;

inline constexpr int kMaxVarintBytes = 10;

// No surrogates, no overlong forms, nothing above U+10FFFF (the Unicode standard, table 3-7).
inline bool is_utf8(std::string_view text) {
    std::size_t at = 0;
    const auto byte = [&](std::size_t index) { return static_cast<std::uint8_t>(text[index]); };
    while (at < text.size()) {
        const std::uint8_t lead = byte(at++);
        if (lead < 0x80) continue;
        if (lead < 0xC2 || lead > 0xF4) return false;
        const std::size_t more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        if (text.size() - at < more) return false;
        const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (byte(at) < low || byte(at) > high) return false;
        for (std::size_t i = 1; i < more; ++i) {
            if ((byte(at + i) & 0xC0) != 0x80) return false;
        }
        at += more;
    }
    return true;
}

// Reads forward through a span. `at_end` is the fault where the span ends too early: a file's end makes it truncated, the
// end of a part whose length was announced and checked makes it corrupt.
class ByteReader {
public:
    explicit ByteReader(ByteSpan data, Fault at_end = Fault::truncated) : data_(data), at_end_(at_end) {}

    std::size_t position() const { return position_; }
    std::size_t remaining() const { return data_.size() - position_; }

    ByteSpan bytes(std::uint64_t count) {
        if (count > remaining()) {
            throw FormatError(at_end_, std::to_string(count) + " bytes are announced where " +
                                           std::to_string(remaining()) + " are left");
        }
        const ByteSpan part = data_.subspan(position_, static_cast<std::size_t>(count));
        position_ += part.size();
        return part;
    }

    std::uint8_t u8() { return bytes(1)[0]; }
    std::uint16_t u16() { return number<std::uint16_t>(); }
    std::uint32_t u32() { return number<std::uint32_t>(); }
    std::uint64_t u64() { return number<std::uint64_t>(); }
    float f32() { return std::bit_cast<float>(u32()); }
    double f64() { return std::bit_cast<double>(u64()); }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int index = 0; index < kMaxVarintBytes; ++index) {
            const std::uint8_t byte = u8();
            const bool last = byte < 0x80;
            if (last && byte == 0 && index > 0) throw FormatError(Fault::corrupt, "a varint is longer than it has to be");
            // The tenth byte holds bit 63 only.
            if (index == kMaxVarintBytes - 1 && byte > 1) break;
            value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * index);
            if (last) return value;
        }
        throw FormatError(Fault::corrupt, "a varint exceeds 64 bits");
    }

    std::int64_t zigzag() {
        const std::uint64_t value = varint();
        return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
    }

    // A view of the span, not a copy.
    std::string_view string() {
        const ByteSpan part = bytes(varint());
        const std::string_view text(reinterpret_cast<const char*>(part.data()), part.size());
        if (!is_utf8(text)) throw FormatError(Fault::corrupt, "a string is not valid UTF-8");
        return text;
    }

private:
    template <std::unsigned_integral T>
    T number() {
        const ByteSpan part = bytes(sizeof(T));
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::uint64_t{part[i]} << (8 * i);
        return static_cast<T>(value);
    }

    ByteSpan data_;
    std::size_t position_ = 0;  // <= data_.size()
    Fault at_end_;
};

// Appends to a vector of bytes.
class ByteWriter {
public:
    std::size_t size() const { return data_.size(); }
    ByteSpan view() const { return data_; }
    std::vector<std::uint8_t> take() { return std::exchange(data_, {}); }

    void bytes(ByteSpan part) { data_.insert(data_.end(), part.begin(), part.end()); }
    void u8(std::uint8_t value) { data_.push_back(value); }
    void u16(std::uint16_t value) { number(value); }
    void u32(std::uint32_t value) { number(value); }
    void u64(std::uint64_t value) { number(value); }
    void f32(float value) { number(std::bit_cast<std::uint32_t>(value)); }
    void f64(double value) { number(std::bit_cast<std::uint64_t>(value)); }

    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) data_.push_back(static_cast<std::uint8_t>(value | 0x80));
        data_.push_back(static_cast<std::uint8_t>(value));
    }

    void zigzag(std::int64_t value) {
        const std::uint64_t bits = static_cast<std::uint64_t>(value);
        varint((bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
    }

    void string(std::string_view text) {
        if (!is_utf8(text)) throw std::invalid_argument("a string is not valid UTF-8");
        varint(text.size());
        data_.insert(data_.end(), text.begin(), text.end());
    }

private:
    template <std::unsigned_integral T>
    void number(T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            data_.push_back(static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i)));
        }
    }

    std::vector<std::uint8_t> data_;
};

}  // namespace cabacus
