// A file's header from bytes that nobody vouches for: every length is checked before it is used. FORMAT sections 2 to 4.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_places.hpp"
#include "cabacus/container_rules.hpp"
#include "cabacus/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cabacus {
namespace reader_detail {

// Fewest bytes of what is counted: a count that the bytes left cannot hold is corrupt before memory is taken for it.
inline constexpr std::size_t kMinMetadataBytes = 2;
inline constexpr std::size_t kMinExtensionBytes = 2;
inline constexpr std::size_t kMinSetBytes = 3;
inline constexpr std::size_t kMinRecordBytes = 3;

inline void check_limit(const char* limit, const char* unit, std::uint64_t value, std::uint64_t allowed) {
    if (value <= allowed) return;
    throw FormatError(Fault::limit,
                      std::to_string(value) + " " + unit + " exceed the limit of " + std::to_string(allowed) +
                          "; raise Limits(" + limit + "=...) if you trust the data",
                      {}, limit);
}

// By sorting: hostile names can make a hash table slow.
inline void check_unique(std::vector<std::string_view> texts, const char* otherwise) {
    std::sort(texts.begin(), texts.end());
    require(std::adjacent_find(texts.begin(), texts.end()) == texts.end(), otherwise);
}

struct ParameterSet {
    Record common;  // what its records have from it
    bool has_shape = false;
    bool has_step = false;
    bool used = false;
};

class HeaderReader {
public:
    HeaderReader(ByteSpan header, const Limits& limits)
        : in_(header, Fault::corrupt), header_(header), limits_(limits), expanded_(header.size()) {}

    Header read(std::uint8_t flags, const std::vector<BaseTensor>* base) {
        Header header;
        const bool has_base = (flags & kBaseFlag) != 0;
        const bool has_layout = (flags & kLayoutFlag) != 0;
        require(has_base || !has_layout, "there is a layout, but no base");
        if (has_base) {
            const ByteSpan digest = in_.bytes(Digest{}.size());
            std::copy(digest.begin(), digest.end(), header.base.emplace().begin());
        }
        if (has_layout) {
            header.complete = base != nullptr;
            if (!header.complete) return header;
            header.layout = read_layout(*base);
            slots_ = slots_of(*header.layout, *base);
        }
        read_metadata(header.metadata);
        skip_extensions();
        read_sets(has_base);
        if (has_layout) {
            read_slots(header.records, *base);
        } else {
            read_records(header.records);
        }
        const auto used = [](const ParameterSet& set) { return set.used; };
        require(std::all_of(sets_.begin(), sets_.end(), used), "a parameter set is not used");
        require(in_.remaining() == 0, "the header does not end with its last record");
        return header;
    }

private:
    std::size_t read_count(std::size_t min_bytes) {
        const std::uint64_t count = in_.varint();
        require(count <= in_.remaining() / min_bytes, "the header is too short for what it counts");
        return static_cast<std::size_t>(count);
    }

    void read_metadata(Metadata& metadata) {
        const std::size_t count = read_count(kMinMetadataBytes);
        metadata.reserve(count);
        std::vector<std::string_view> keys;
        for (std::size_t i = 0; i < count; ++i) {
            keys.push_back(in_.string());
            const std::string_view value = in_.string();
            metadata.emplace_back(keys.back(), value);
        }
        check_unique(std::move(keys), "a metadata key is there twice");
    }

    void skip_extensions() {
        const std::size_t count = read_count(kMinExtensionBytes);
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t type = in_.varint();
            in_.bytes(in_.varint());
            if (type % 2 != 0) {
                throw FormatError(Fault::unsupported, "the critical extension " + std::to_string(type) + " is unknown");
            }
        }
    }

    void read_sets(bool has_base) {
        const std::size_t count = read_count(kMinSetBytes);
        sets_.reserve(count);
        std::vector<std::string_view> texts;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t begin = in_.position();
            sets_.push_back(read_set());
            require(has_base || !sets_.back().common.delta, "there is a difference, but no base");
            const ByteSpan text = header_.subspan(begin, in_.position() - begin);
            texts.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
        }
        // Every value has one form only, so that sets that are equal have equal bytes.
        check_unique(std::move(texts), "two parameter sets are the same");
    }

    ParameterSet read_set() {
        ParameterSet set;
        Record& common = set.common;
        common.dtype = in_.u8();
        common.coding = static_cast<Coding>(in_.u8());
        const std::uint8_t flags = in_.u8();
        require(flags < 16, "a reserved flag of a parameter set is on");
        common.delta = (flags & kDeltaFlag) != 0;
        set.has_shape = (flags & kShapeFlag) != 0;
        set.has_step = (flags & kStepFlag) != 0;
        if ((flags & kAxesFlag) != 0) {
            common.axes = read_axes();
            require(!common.axes.empty(), "the axes are the identity");
        }
        if (set.has_shape) common.shape = read_shape();
        if (set.has_step) {
            require(has_step(common), "a parameter set has a step, but no levels that it could scale");
            common.step = read_step(common);
        }
        if (has_levels(common.coding)) common.levels = read_levels();
        check_parameters(common);
        return set;
    }

    std::size_t read_rank() {
        const std::uint64_t rank = in_.varint();
        check_limit("rank", "dimensions", rank, limits_.rank);
        require(rank <= in_.remaining(), "the header is too short for what it counts");
        return static_cast<std::size_t>(rank);
    }

    std::vector<std::uint32_t> read_axes() {
        std::vector<std::uint32_t> axes(read_rank());
        for (std::uint32_t& axis : axes) {
            const std::uint64_t value = in_.varint();
            require(value < axes.size(), "the axes are no permutation");
            axis = static_cast<std::uint32_t>(value);
        }
        return axes;
    }

    std::vector<std::uint64_t> read_shape() {
        std::vector<std::uint64_t> shape(read_rank());
        for (std::uint64_t& size : shape) size = in_.varint();
        check_limit("elements", "elements", extent_of(shape), limits_.elements);
        return shape;
    }

    double read_step(const Record& record) {
        const double step = record.dtype == kFloat64 ? in_.f64() : in_.f32();
        check_step(step);
        return step;
    }

    LevelCoding read_levels() {
        LevelCoding levels;
        levels.flags = in_.u8();
        levels.golomb = in_.u8();
        levels.prefixes = in_.u8();
        levels.width = in_.u8();
        levels.context = in_.u8();
        const std::uint8_t rates = in_.u8();
        levels.row_shift = rates & 0x0F;
        levels.column_shift = rates >> 4;
        levels.class_floor = in_.u8();
        levels.trellis = in_.u8();
        levels.lanes_log2 = in_.u8();
        const std::uint64_t starts = in_.varint();
        require(starts == 0 || starts == start_count(levels), "the number of starts is wrong");
        levels.start.resize(static_cast<std::size_t>(starts));
        for (std::uint16_t& start : levels.start) start = in_.u16();
        return levels;
    }

    void read_records(std::vector<Record>& records) {
        const std::uint64_t count = in_.varint();
        check_limit("tensors", "tensors", count, limits_.tensors);
        require(count <= in_.remaining() / kMinRecordBytes, "the header is too short for what it counts");
        // No reserve: a record takes some hundred times the memory of the three bytes that it may have in the file, so
        // that memory is taken only as records turn out to be good.
        std::string_view previous;
        for (std::size_t i = 0; i < count; ++i) {
            std::string name = read_name(previous);
            try {
                ParameterSet& set = read_set_index();
                records.push_back(set.common);
                records.back().name = std::move(name);
                read_record(records, set);
            } catch (const FormatError& error) {
                // By now the record may have its name.
                const std::string at = records.size() > i ? records[i].name : name;
                throw FormatError(error.kind, subject(at) + error.what(), at, error.limit);
            }
            previous = records.back().name;
        }
        std::vector<std::string_view> names;
        names.reserve(records.size());
        for (const Record& record : records) names.emplace_back(record.name);
        check_unique(std::move(names), "two tensors have the same name");
    }

    Layout read_layout(const std::vector<BaseTensor>& base) {
        Layout layout;
        layout.joined = in_.varint();
        const std::uint64_t count = in_.varint();
        const auto is_joined = [&](const BaseTensor& tensor) { return element_count(tensor.shape) < layout.joined; };
        layout.groups.resize(static_cast<std::size_t>(std::count_if(base.begin(), base.end(), is_joined)));
        require(count <= layout.groups.size() && (count > 0 || layout.groups.empty()), "a group has no tensor");
        if (count < 2) return layout;
        const int width = group_width(count);
        BitReader numbers(in_.bytes((layout.groups.size() * static_cast<std::size_t>(width) + 7) / 8));
        std::vector<bool> seen(static_cast<std::size_t>(count));
        for (std::uint64_t& group : layout.groups) {
            group = numbers.take(width);
            require(group < count, "there is no such group");
            seen[static_cast<std::size_t>(group)] = true;
        }
        require(numbers.finished(), "there are bits after the last group");
        require(std::find(seen.begin(), seen.end(), false) == seen.end(), "a group has no tensor");
        return layout;
    }

    // The records one by one, each with the name of its first tensor, which no other can have.
    void read_slots(std::vector<Record>& records, const std::vector<BaseTensor>& base) {
        check_limit("tensors", "tensors", base.size(), limits_.tensors);
        for (const Slot& slot : slots_) {
            const std::string& name = base[static_cast<std::size_t>(slot.members.front())].name;
            try {
                ParameterSet& set = read_set_index();
                require(!set.has_shape, "a parameter set has a shape, which is the base's");
                records.push_back(set.common);
                Record& record = records.back();
                record.name = name;
                record.members = slot.members;
                record.shape = slot.shape;
                check_limit("rank", "dimensions", record.shape.size(), limits_.rank);
                check_limit("elements", "elements", extent_of(record.shape), limits_.elements);
                for (const std::uint64_t member : slot.members) {
                    require(base[static_cast<std::size_t>(member)].dtype == record.dtype, "the base's type is another");
                }
                read_record(records, set);
            } catch (const FormatError& error) {
                throw FormatError(error.kind, subject(name) + error.what(), name, error.limit);
            }
        }
    }

    std::string read_name(std::string_view previous) {
        const std::uint64_t shared = in_.varint();
        require(shared <= previous.size(), "a name shares more than there is");
        const std::string_view rest = in_.string();
        check_limit("name_bytes", "bytes of name", shared + rest.size(), limits_.name_bytes);
        expand(shared);
        std::string name(previous.substr(0, static_cast<std::size_t>(shared)));
        name += rest;
        require(is_utf8(name), "a name is not valid UTF-8");
        return name;
    }

    // What is stored once and comes out many times counts as header, too: else a header of a few megabytes could ask for
    // gigabytes of names.
    void expand(std::uint64_t bytes) {
        expanded_ = add_capped(expanded_, bytes);
        check_limit("header_bytes", "bytes of header with shared names written out", expanded_, limits_.header_bytes);
    }

    ParameterSet& read_set_index() {
        const std::uint64_t index = in_.varint();
        require(index / 2 < sets_.size(), "there is no such parameter set");
        ParameterSet& set = sets_[static_cast<std::size_t>(index / 2)];
        says_geometry_ = index % 2 != 0;
        expand(set.common.shape.size() + set.common.axes.size());
        set.used = true;
        return set;
    }

    void read_record(std::vector<Record>& records, const ParameterSet& set) {
        Record& record = records.back();
        if (!set.has_shape && slots_.empty()) record.shape = read_shape();
        elements_ = add_capped(elements_, element_count(record.shape));
        check_limit("total_elements", "elements in all", elements_, limits_.total_elements);
        output_bytes_ = add_capped(output_bytes_, output_bytes_of(record));
        check_limit("output_bytes", "bytes of output", output_bytes_, limits_.output_bytes);
        read_fields(record, set);
        check_fields(record);
        if (record.coding == Coding::alias) check_alias(records, records.size() - 1);
        require(!says_geometry_ || has_levels(record.coding), "a record without levels has a geometry");
        if (has_levels(record.coding)) {
            read_geometry(record);
            read_slices(record);
        }
    }

    void read_fields(Record& record, const ParameterSet& set) {
        switch (record.coding) {
            case Coding::raw:
            case Coding::zero: break;
            case Coding::levels:
                if (!has_step(record)) {
                    record.offset = in_.zigzag();
                } else if (!set.has_step) {
                    record.step = read_step(record);
                }
                break;
            case Coding::exact_float: read_exact_float(record); break;
            case Coding::codebook: {
                const std::uint64_t entries = in_.varint();
                const std::uint64_t center = in_.varint();
                record.entries = static_cast<std::uint32_t>(std::min<std::uint64_t>(entries, kMaxEntries + 1));
                record.offset = static_cast<std::int64_t>(std::min<std::uint64_t>(center, kMaxEntries + 1));
                break;
            }
            case Coding::alias: record.alias = in_.varint(); break;
        }
    }

    void read_exact_float(Record& record) {
        constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
        record.entries = in_.u8();
        record.float_flags = in_.u8();
        record.lowest = static_cast<std::uint32_t>(std::min(in_.varint(), most));
        record.offset = static_cast<std::int64_t>(std::min(in_.varint(), most));
        if ((record.float_flags & kEnds) != 0) record.last = static_cast<std::uint32_t>(std::min(in_.varint(), most));
    }

    void read_geometry(Record& record) {
        const std::uint64_t row_width = says_geometry_ ? in_.varint() : 0;
        const std::uint64_t slice_rows = says_geometry_ ? in_.varint() : 0;
        record.row_width = row_width;
        record.slice_rows = slice_rows;
        record.gaps = says_geometry_ ? in_.varint() : 0;
        const Geometry geometry = geometry_of(record);
        require(row_width == 0 || !geometry.natural_width, "a natural row width is not written as 0");
        require(slice_rows == 0 || !geometry.one_slice, "the only slice's rows are not written as 0");
        record.row_width = geometry.row_width;
        record.slice_rows = geometry.slice_rows;
        slices_ = geometry.slices;
    }

    void read_slices(Record& record) {
        // A codebook has elements only where the tensor has some.
        if (slices_ > 0) slices_ += leading_slices(record);
        require(slices_ <= in_.remaining(), "the header is too short for what it counts");
        record.slice_bytes.resize(static_cast<std::size_t>(slices_));
        for (std::uint64_t& bytes : record.slice_bytes) {
            bytes = in_.varint();
            require(bytes >= kSliceChecksumBytes, "a slice is shorter than its checksum");
        }
        if (record.gaps > 0) check_map(record);
    }

    ByteReader in_;
    ByteSpan header_;
    const Limits& limits_;
    std::uint64_t expanded_;  // bytes of the header, what it shares counted as often as it is used
    std::uint64_t elements_ = 0;
    std::uint64_t output_bytes_ = 0;
    std::uint64_t slices_ = 0;  // of the record at hand, <= kMaxExtent
    bool says_geometry_ = false;  // of the record that is read
    std::vector<ParameterSet> sets_;
    std::vector<Slot> slots_;  // with a layout: what the records hold
};

}  // namespace reader_detail

// The header of the file that begins with `data`; reads no further than it. With `whole`, `data` is the whole file and
// its length is checked. A file with a layout needs the tensors of its base, which the caller has found to be of that
// digest; without them no more than the digest is read. Throws FormatError. The memory taken is bounded by the header's
// length, the base and the limits.
inline Header parse(ByteSpan data, const Limits& limits, bool whole = true, const std::vector<BaseTensor>* base = nullptr) {
    const std::size_t known = std::min(data.size(), kMagic.size());
    if (!std::equal(kMagic.begin(), kMagic.begin() + static_cast<std::ptrdiff_t>(known), data.begin())) {
        throw FormatError(Fault::unsupported, "this is no cabacus file");
    }
    ByteReader in(data);
    in.bytes(kMagic.size());
    const std::uint8_t version = in.u8();
    if (version != kVersion) {
        throw FormatError(Fault::unsupported, "version " + std::to_string(version) + " of the format is unknown");
    }
    const std::uint8_t flags = in.u8();
    const std::uint16_t reserved = in.u16();
    const std::uint32_t header_bytes = in.u32();
    const std::uint32_t checksum = in.u32();
    reader_detail::check_limit("header_bytes", "bytes of header", header_bytes, limits.header_bytes);
    const ByteSpan text = in.bytes(header_bytes);
    require(crc32c(text, crc32c(data.first(kChecksummedPreambleBytes))) == checksum, "the header has another checksum");
    if ((flags & ~(kBaseFlag | kLayoutFlag)) != 0) throw FormatError(Fault::unsupported, "a flag of the file is unknown");
    require(reserved == 0, "reserved bytes of the preamble are not 0");

    Header header = reader_detail::HeaderReader(text, limits).read(flags, base);
    header.version = version;
    header.bytes = kPreambleBytes + header_bytes;
    if (!header.complete) return header;
    lay_out(header);
    if (whole && data.size() < header.file_bytes) {
        throw FormatError(Fault::truncated, "the file has " + std::to_string(data.size()) + " bytes instead of " +
                                                std::to_string(header.file_bytes));
    }
    require(!whole || data.size() == header.file_bytes, "bytes follow the last slice");
    list_raw_slices(header.records, whole);
    return header;
}

}  // namespace cabacus
