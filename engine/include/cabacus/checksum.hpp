// CRC-32C by the processor's own instruction where it has one, else by tables, eight bytes at a time. FORMAT section 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define CABACUS_CRC32C_SSE42 1
#include <nmmintrin.h>
#endif

namespace cabacus {
namespace crc32c_detail {

inline constexpr std::uint32_t kPolynomial = 0x82F63B78;

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b] is the register after byte b and k zero bytes.
constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
        tables[0][byte] = value;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    }
    return tables;
}

inline constexpr Tables kTables = make_tables();

// The register goes in and out as it is: initial value and final xor are the caller's.
inline std::uint32_t update_by_tables(std::uint32_t value, const std::uint8_t* data, std::size_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        value ^= std::uint32_t{data[0]} | std::uint32_t{data[1]} << 8 | std::uint32_t{data[2]} << 16 |
                 std::uint32_t{data[3]} << 24;
        value = kTables[7][value & 0xFF] ^ kTables[6][(value >> 8) & 0xFF] ^ kTables[5][(value >> 16) & 0xFF] ^
                kTables[4][value >> 24] ^ kTables[3][data[4]] ^ kTables[2][data[5]] ^ kTables[1][data[6]] ^
                kTables[0][data[7]];
    }
    for (; size > 0; ++data, --size) value = (value >> 8) ^ kTables[0][(value ^ *data) & 0xFF];
    return value;
}

#ifdef CABACUS_CRC32C_SSE42

// One chain of the instruction takes 8 bytes in 3 cycles. That is far above what the coder behind it reads, so that
// the three interleaved chains of other implementations, and their tables, are not worth their lines.
__attribute__((target("sse4.2"))) inline std::uint32_t update_by_sse42(std::uint32_t value, const std::uint8_t* data,
                                                                       std::size_t size) {
    std::uint64_t wide = value;
    for (; size >= 8; data += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, data, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    value = static_cast<std::uint32_t>(wide);
    for (; size > 0; ++data, --size) value = _mm_crc32_u8(value, *data);
    return value;
}

inline bool has_sse42() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
}

#endif

using Update = std::uint32_t (*)(std::uint32_t, const std::uint8_t*, std::size_t);

inline Update fastest_update() {
#ifdef CABACUS_CRC32C_SSE42
    if (has_sse42()) return update_by_sse42;
#endif
    return update_by_tables;
}

}  // namespace crc32c_detail

// The checksum of `data`; with `before`, the checksum of what had that checksum followed by `data`.
inline std::uint32_t crc32c(std::span<const std::uint8_t> data, std::uint32_t before = 0) {
    static const crc32c_detail::Update update = crc32c_detail::fastest_update();
    return ~update(~before, data.data(), data.size());
}

// Ends a slice with its checksum.
inline void append_checksum(std::vector<std::uint8_t>& bytes) {
    const std::uint32_t checksum = crc32c(bytes);
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::uint8_t>(checksum >> shift));
}

}  // namespace cabacus
