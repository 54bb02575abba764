// CRC-32C: the published values, and the same ones by every way of computing it.
#include "cabacus/checksum.hpp"
#include "check.hpp"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

using cabacus::crc32c;

namespace {

using Bytes = std::vector<std::uint8_t>;

// As the polynomial defines it, bit by bit.
std::uint32_t slow(std::span<const std::uint8_t> data) {
    std::uint32_t value = 0xFFFFFFFF;
    for (const std::uint8_t byte : data) {
        value ^= byte;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78 : 0);
    }
    return ~value;
}

Bytes noise(std::size_t size) {
    Bytes data(size);
    std::uint32_t state = 1;
    for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    return data;
}

}  // namespace

TEST(checksum_has_the_published_values) {
    const std::string_view digits = "123456789";
    CHECK_EQUAL(crc32c(Bytes(digits.begin(), digits.end())), 0xE3069283U);
    // RFC 3720, appendix B.4.
    CHECK_EQUAL(crc32c(Bytes(32, 0x00)), 0x8A9136AAU);
    CHECK_EQUAL(crc32c(Bytes(32, 0xFF)), 0x62A8AB43U);
    Bytes rising(32);
    std::iota(rising.begin(), rising.end(), std::uint8_t{0});
    CHECK_EQUAL(crc32c(rising), 0x46DD794EU);
    CHECK_EQUAL(crc32c(Bytes(rising.rbegin(), rising.rend())), 0x113FDB5CU);
    CHECK_EQUAL(crc32c({}), 0U);
}

TEST(checksum_is_the_same_by_tables_and_by_hardware) {
    const Bytes data = noise(300);
    for (std::size_t begin = 0; begin < 9; ++begin) {
        for (std::size_t size = 0; begin + size <= data.size(); ++size) {
            const std::span<const std::uint8_t> part = std::span(data).subspan(begin, size);
            const std::uint32_t expected = slow(part);
            CHECK_EQUAL(crc32c(part), expected);
            CHECK_EQUAL(~cabacus::crc32c_detail::update_by_tables(0xFFFFFFFF, part.data(), part.size()), expected);
        }
    }
}

TEST(checksum_goes_on_from_what_came_before) {
    const Bytes data = noise(100);
    const std::span<const std::uint8_t> all(data);
    for (std::size_t cut = 0; cut <= data.size(); ++cut) {
        CHECK_EQUAL(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all));
    }
}
