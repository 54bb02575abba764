// Where the payload of every record lies in its file. FORMAT section 2.
#pragma once

#include "cabacus/container.hpp"
#include "cabacus/container_rules.hpp"
#include "cabacus/error.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cabacus {

// Raw slices are implied, not listed. Where the file's length does not bound them, this does: 16 TiB of raw elements.
inline constexpr std::uint64_t kMaxImpliedSlices = std::uint64_t{1} << 20;

inline std::uint64_t payload_bytes(const Record& record) {
    if (record.coding == Coding::raw) {
        const std::uint64_t elements = output_bytes_of(record);
        return add_capped(elements, multiply_capped(raw_slice_count(elements), kSliceChecksumBytes));
    }
    std::uint64_t bytes = 0;
    for (const std::uint64_t slice : record.slice_bytes) bytes = add_capped(bytes, slice);
    return bytes;
}

// Where every payload begins, and where the file ends.
inline void lay_out(Header& header) {
    std::uint64_t at = header.bytes;
    for (Record& record : header.records) {
        record.start = at;
        at = add_capped(at, payload_bytes(record));
        if (at > kMaxExtent) {
            const std::string message = subject(record.name) + "the file's length is not below 2^63";
            throw FormatError(Fault::corrupt, message, record.name);
        }
    }
    header.file_bytes = at;
}

inline void list_raw_slices(std::vector<Record>& records, bool bounded) {
    std::uint64_t implied = 0;
    for (Record& record : records) {
        if (record.coding != Coding::raw) continue;
        const std::uint64_t bytes = output_bytes_of(record);
        implied += raw_slice_count(bytes);  // no overflow: lay_out has added what is greater
        if (!bounded && implied > kMaxImpliedSlices) {
            const std::string message = subject(record.name) + "more than 16 TiB of raw elements; pass the whole file";
            throw FormatError(Fault::limit, message, record.name, "output_bytes");
        }
        record.slice_bytes = raw_slices(bytes);
    }
}

}  // namespace cabacus
