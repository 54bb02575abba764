// Headers: any bytes under a right checksum, or a file as it is.
#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_reader.hpp"
#include "cabacus/container_rules.hpp"
#include "cabacus/container_writer.hpp"
#include "cabacus/error.hpp"
#include "targets.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes under_a_checksum(fuzz::Input input) {
    const std::uint8_t flags = input.empty() ? 0 : input.front() >> 1;
    const fuzz::Input header = input.subspan(input.empty() ? 0 : 1);
    cabacus::ByteWriter out;
    out.bytes(cabacus::kMagic);
    out.u8(cabacus::kVersion);
    out.u8(flags);
    out.u16(0);
    out.u32(static_cast<std::uint32_t>(header.size()));
    out.u32(cabacus::crc32c(header, cabacus::crc32c(out.view())));
    out.bytes(header);
    return out.take();
}

// The base of files with a layout.
const std::vector<cabacus::BaseTensor>& base() {
    static const std::vector<cabacus::BaseTensor> tensors{
        {"a", 18, {5}}, {"b", 18, {12, 10}}, {"c", 8, {}}, {"d", 18, {0, 7}}};
    return tensors;
}

// Records but for where they begin: sets may be put together in another way.
std::vector<cabacus::Record> placeless(std::vector<cabacus::Record> records) {
    for (cabacus::Record& record : records) record.start = 0;
    return records;
}

}  // namespace

void fuzz::container(Input input) {
    const bool whole = !input.empty() && input.front() == 0xAB;
    const Bytes file = whole ? Bytes(input.begin(), input.end()) : under_a_checksum(input);
    cabacus::Limits limits;
    limits.elements = std::uint64_t{1} << 28;  // a raw tensor has a length for every 2^24 bytes
    limits.output_bytes = limits.total_elements = std::uint64_t{1} << 30;
    cabacus::Header header;
    try {
        header = cabacus::parse(file, limits, whole, &base());
    } catch (const cabacus::FormatError&) {
        return;
    }
    const auto packed = cabacus::pack(header.records, header.metadata, header.base, header.layout);
    const cabacus::Header again = cabacus::parse(packed, limits, false, &base());
    CLAIM(placeless(again.records) == placeless(header.records));
    CLAIM(again.metadata == header.metadata);
    CLAIM(again.base == header.base);
    CLAIM(again.layout == header.layout);
    CLAIM(packed.size() <= file.size() + 64 || header.records.size() > 1);
}
