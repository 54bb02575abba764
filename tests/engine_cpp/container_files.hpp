// Files for the tests of the container: good ones, and any header bytes at all under a right checksum.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_reader.hpp"
#include "cabacus/error.hpp"
#include "check.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace files {

using cabacus::Coding;
using cabacus::Record;
using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint8_t kInt8 = 2;
inline constexpr std::uint8_t kUint16 = 5;
inline constexpr std::uint8_t kFloat32 = 18;

inline Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

inline Bytes floats(float value) {
    cabacus::ByteWriter out;
    out.f32(value);
    return out.take();
}

inline Bytes varint(std::uint64_t value) {
    cabacus::ByteWriter out;
    out.varint(value);
    return out.take();
}

// A file of these header bytes; its payload is zeros.
inline Bytes file_of(const Bytes& header, std::size_t payload, std::uint8_t flags = 0, std::uint16_t reserved = 0) {
    cabacus::ByteWriter out;
    out.bytes(cabacus::kMagic);
    out.u8(cabacus::kVersion);
    out.u8(flags);
    out.u16(reserved);
    out.u32(static_cast<std::uint32_t>(header.size()));
    out.u32(cabacus::crc32c(header, cabacus::crc32c(out.view())));
    out.bytes(header);
    out.bytes(Bytes(payload));
    return out.take();
}

// The parts of a header, each with its count. As it stands: two float32 in a raw tensor "a".
struct Parts {
    Bytes metadata{0};
    Bytes extensions{0};
    Bytes sets{1, kFloat32, 0, 0};
    Bytes records{1, 0, 1, 'a', 0, 1, 2};
    std::size_t payload = 12;

    Bytes file() const { return file_of(joined({metadata, extensions, sets, records}), payload); }
};

// Parts with one levels tensor "a" of float32: the set's flags and what they announce, the set's level parameters, and
// the record from its shape on.
inline const Bytes kLevels{10, 0, 4, 0, 0, 0, 8, 0, 0, 0};

inline Parts with_levels(std::uint8_t flags, const Bytes& announced, const Bytes& levels, const Bytes& rest,
                         std::size_t payload, std::uint8_t dtype = kFloat32, std::uint8_t coding = 1) {
    Parts parts;
    parts.sets = joined({{1, dtype, coding, flags}, announced, levels});
    parts.records = joined({{1, 0, 1, 'a', 1}, rest});  // set 0, and a geometry
    parts.payload = payload;
    return parts;
}

// One record of every coding, and of most features.
inline std::vector<Record> samples() {
    std::vector<Record> records(9);
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i].name = "layer." + std::to_string(i) + ".weight";
        records[i].dtype = kFloat32;
        records[i].shape = {6, 4};
    }
    records[0].coding = Coding::raw;
    records[1].coding = Coding::levels;
    records[1].step = 0.25;
    records[1].row_width = 5;
    records[1].slice_rows = 2;
    records[1].slice_bytes = {9, 300, 4};
    records[2].coding = Coding::levels;
    records[2].step = 0.25;
    records[2].delta = true;
    records[2].axes = {1, 0};
    records[2].levels.start.assign(cabacus::start_count(records[2].levels), 77);
    records[2].levels.row_shift = 3;
    records[2].levels.column_shift = 5;
    records[2].levels.trellis = 8;
    records[2].levels.lanes_log2 = 6;
    records[2].slice_rows = 2;
    records[2].gaps = 1;
    records[2].slice_bytes = {5, 20, 21};
    records[3].dtype = kInt8;
    records[3].coding = Coding::levels;
    records[3].offset = -128;
    records[3].slice_bytes = {40};
    records[4].coding = Coding::exact_float;
    records[4].lowest = 100;
    records[4].entries = 23;
    records[4].slice_bytes = {90};
    records[5].dtype = cabacus::kFloat64;
    records[5].coding = Coding::codebook;
    records[5].entries = 65536;
    records[5].slice_bytes = {50, 10};
    records[6].coding = Coding::zero;
    records[6].shape = {};
    records[7].coding = Coding::alias;
    records[7].alias = 1;
    records[8].coding = Coding::levels;
    records[8].dtype = cabacus::kFloat64;
    records[8].shape = {3, 0, 7};
    records[8].step = 0.1;
    return records;
}

inline cabacus::Digest digest() {
    cabacus::Digest digest{};
    digest.fill(0xB5);
    return digest;
}

inline cabacus::FormatError error_of(const Bytes& file, const cabacus::Limits& limits = {}, bool whole = true) {
    try {
        static_cast<void>(cabacus::parse(file, limits, whole));
    } catch (const cabacus::FormatError& error) {
        return error;
    }
    check::fail(__FILE__, __LINE__, "the file was read");
}

}  // namespace files
