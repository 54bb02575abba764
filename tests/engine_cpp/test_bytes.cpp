// Numbers, varints and strings: what is read is what was written, and what may not be there is refused.
#include "cabacus/bytes.hpp"
#include "check.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

using cabacus::ByteReader;
using cabacus::ByteWriter;
using cabacus::Fault;
using cabacus::FormatError;

namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename Read>
Fault fault_of(const Bytes& data, Read read, Fault at_end = Fault::truncated) {
    ByteReader in(data, at_end);
    try {
        read(in);
    } catch (const FormatError& error) {
        return error.kind;
    }
    check::fail(__FILE__, __LINE__, "nothing was thrown");
}

const auto read_varint = [](ByteReader& in) { in.varint(); };

}  // namespace

TEST(bytes_numbers_are_little_endian) {
    ByteWriter out;
    out.u8(0x01);
    out.u16(0x0302);
    out.u32(0x07060504);
    out.u64(0x0F0E0D0C0B0A0908);
    out.f32(1.0F);
    out.f64(-2.0);
    const Bytes data = out.take();
    CHECK_EQUAL(data.size(), 27U);
    for (std::size_t i = 0; i < 15; ++i) CHECK_EQUAL(int{data[i]}, static_cast<int>(i + 1));
    CHECK((Bytes(data.begin() + 15, data.end()) == Bytes{0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0}));

    ByteReader in(data);
    CHECK_EQUAL(int{in.u8()}, 0x01);
    CHECK_EQUAL(in.u16(), 0x0302);
    CHECK_EQUAL(in.u32(), 0x07060504U);
    CHECK_EQUAL(in.u64(), 0x0F0E0D0C0B0A0908U);
    CHECK_EQUAL(in.f32(), 1.0F);
    CHECK_EQUAL(in.f64(), -2.0);
    CHECK_EQUAL(in.remaining(), 0U);
}

TEST(bytes_varints_and_zigzags_come_back) {
    for (int bit = 0; bit < 64; ++bit) {
        for (const std::uint64_t delta : {~std::uint64_t{0}, std::uint64_t{0}, std::uint64_t{1}}) {
            const std::uint64_t value = (std::uint64_t{1} << bit) + delta;
            ByteWriter out;
            out.varint(value);
            out.zigzag(static_cast<std::int64_t>(value));
            ByteReader in(out.view());
            CHECK_EQUAL(in.varint(), value);
            CHECK_EQUAL(in.zigzag(), static_cast<std::int64_t>(value));
            CHECK_EQUAL(in.remaining(), 0U);
        }
    }
}

TEST(bytes_zigzag_is_small_for_small_numbers) {
    const auto written = [](std::int64_t value) {
        ByteWriter out;
        out.zigzag(value);
        return out.take();
    };
    CHECK(written(0) == Bytes{0});
    CHECK(written(-1) == Bytes{1});
    CHECK(written(1) == Bytes{2});
    CHECK(written(-64) == Bytes{127});
    CHECK(written(std::numeric_limits<std::int64_t>::min()).size() == 10);
}

TEST(bytes_varints_must_be_minimal_and_below_2_to_64) {
    CHECK(fault_of({0x80, 0x00}, read_varint) == Fault::corrupt);
    CHECK(fault_of({0xFF, 0x80, 0x00}, read_varint) == Fault::corrupt);
    const Bytes nines(9, 0xFF);
    for (const int tenth : {0x02, 0x7F, 0x80, 0x81, 0xFF}) {
        Bytes data = nines;
        data.push_back(static_cast<std::uint8_t>(tenth));
        data.push_back(0x01);
        CHECK(fault_of(data, read_varint) == Fault::corrupt);
    }
    Bytes most = nines;
    most.push_back(0x01);
    CHECK_EQUAL(ByteReader(most).varint(), std::numeric_limits<std::uint64_t>::max());
}

TEST(bytes_the_end_is_truncated_or_what_was_asked_for) {
    CHECK(fault_of({}, [](ByteReader& in) { in.u8(); }) == Fault::truncated);
    CHECK(fault_of({1, 2, 3}, [](ByteReader& in) { in.u32(); }) == Fault::truncated);
    CHECK(fault_of({0x80}, read_varint) == Fault::truncated);
    CHECK(fault_of({0x80}, read_varint, Fault::corrupt) == Fault::corrupt);
    CHECK(fault_of({1}, [](ByteReader& in) { in.bytes(~std::uint64_t{0}); }) == Fault::truncated);
    CHECK(fault_of({3, 'a', 'b'}, [](ByteReader& in) { in.string(); }) == Fault::truncated);
}

TEST(bytes_a_failed_read_takes_nothing) {
    const Bytes data{1, 2};
    ByteReader in(data);
    CHECK_THROWS(FormatError, in.u32());
    CHECK_EQUAL(in.u16(), 0x0201);
    CHECK_EQUAL(in.position(), 2U);
}

TEST(bytes_utf8_is_checked_strictly) {
    using std::string_view_literals::operator""sv;
    for (const std::string_view good :
         {""sv, "a\0b"sv, "\x7F"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv,
          "\xEE\x80\x80"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv, "\xEF\xBF\xBF"sv}) {
        CHECK(cabacus::is_utf8(good));
    }
    for (const std::string_view bad :
         {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xC2"sv, "\xC2\x41"sv, "\xE0\x9F\xBF"sv, "\xE2\x82"sv, "\xED\xA0\x80"sv,
          "\xED\xBF\xBF"sv, "\xF0\x8F\xBF\xBF"sv, "\xF0\x9F\x98"sv, "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xFF"sv,
          "\xE2\x82\x41"sv, "a\xF0\x9F\x98\xC2\x80"sv}) {
        CHECK(!cabacus::is_utf8(bad));
    }
}

TEST(bytes_strings_come_back_and_must_be_utf8) {
    ByteWriter out;
    out.string("caf\xC3\xA9");
    out.string("");
    ByteReader in(out.view());
    CHECK_EQUAL(in.string(), "caf\xC3\xA9");
    CHECK_EQUAL(in.string(), "");
    CHECK(fault_of({1, 0x80}, [](ByteReader& reader) { reader.string(); }) == Fault::corrupt);
    CHECK_THROWS(std::invalid_argument, out.string("\xFF"));
}
