// A file's header to bytes: names front-coded, what tensors have in common said once. FORMAT sections 2 to 4.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_rules.hpp"
#include "cabacus/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace cabacus {
namespace writer_detail {

// The records of a parameter set, in their order, and whether they have their shape and step from it.
struct Group {
    std::vector<std::size_t> members;
    bool shape = false;
    bool step = false;
};

inline void write_shape(ByteWriter& out, const Record& record) {
    out.varint(record.shape.size());
    for (const std::uint64_t size : record.shape) out.varint(size);
}

inline void write_step(ByteWriter& out, const Record& record) {
    if (record.dtype == kFloat64) {
        out.f64(record.step);
    } else {
        out.f32(static_cast<float>(record.step));
    }
}

inline void write_levels(ByteWriter& out, const LevelCoding& levels) {
    for (const std::uint8_t value : {levels.flags, levels.golomb, levels.prefixes, levels.width, levels.context}) {
        out.u8(value);
    }
    out.u8(static_cast<std::uint8_t>(levels.row_shift | levels.column_shift << 4));
    out.u8(levels.class_floor);
    out.u8(levels.trellis);
    out.u8(levels.lanes_log2);
    out.varint(levels.start.size());
    for (const std::uint16_t start : levels.start) out.u16(start);
}

inline void write_set(ByteWriter& out, const Record& record, bool shape, bool step) {
    out.u8(record.dtype);
    out.u8(static_cast<std::uint8_t>(record.coding));
    out.u8(static_cast<std::uint8_t>((record.delta ? kDeltaFlag : 0) | (record.axes.empty() ? 0 : kAxesFlag) |
                                     (shape ? kShapeFlag : 0) | (step ? kStepFlag : 0)));
    if (!record.axes.empty()) {
        out.varint(record.axes.size());
        for (const std::uint32_t axis : record.axes) out.varint(axis);
    }
    if (shape) write_shape(out, record);
    if (step) write_step(out, record);
    if (has_levels(record.coding)) write_levels(out, record.levels);
}

// A string, whose order is cheap and which no compiler warns of, for a key.
inline std::string key_of(const ByteWriter& out) { return {out.view().begin(), out.view().end()}; }

inline std::string set_bytes(const Record& record, bool shape, bool step) {
    ByteWriter out;
    write_set(out, record, shape, step);
    return key_of(out);
}

inline std::string value_bytes(const Record& record, bool step) {
    ByteWriter out;
    if (step) {
        write_step(out, record);
    } else {
        write_shape(out, record);
    }
    return key_of(out);
}

// Splits a group by the value of shape or step where that saves bytes. A value that k records share saves k - 1 times its
// bytes and costs a set; where no record is left without one, the set that they had is saved as well.
inline std::vector<Group> split(const std::vector<Record>& records, const Group& group, bool by_step) {
    std::map<std::string, std::vector<std::size_t>> classes;
    for (const std::size_t member : group.members) classes[value_bytes(records[member], by_step)].push_back(member);
    const std::size_t cost = set_bytes(records[group.members[0]], group.shape, group.step).size();
    const auto saved = [](const auto& item) { return item.first.size() * (item.second.size() - 1); };

    std::size_t left = 0;
    std::size_t saved_by_left = 0;
    for (const auto& item : classes) {
        if (saved(item) > cost) continue;
        ++left;
        saved_by_left += saved(item);
    }
    const bool share_all = left == 0 || saved_by_left > (left - 1) * cost;

    std::vector<Group> parts;
    Group rest{{}, group.shape, group.step};
    for (auto& item : classes) {
        if (share_all || saved(item) > cost) {
            parts.push_back({item.second, group.shape || !by_step, group.step || by_step});
        } else {
            rest.members.insert(rest.members.end(), item.second.begin(), item.second.end());
        }
    }
    if (!rest.members.empty()) {
        std::sort(rest.members.begin(), rest.members.end());
        parts.push_back(std::move(rest));
    }
    return parts;
}

// The parameter sets, in the order of their first records.
inline std::vector<Group> make_sets(const std::vector<Record>& records, bool shapes) {
    std::map<std::string, Group> alike;
    for (std::size_t i = 0; i < records.size(); ++i) alike[set_bytes(records[i], false, false)].members.push_back(i);
    std::vector<Group> sets;
    for (const auto& [key, group] : alike) {
        for (Group& part : shapes ? split(records, group, false) : std::vector<Group>{group}) {
            if (!has_step(records[part.members[0]])) {
                sets.push_back(std::move(part));
                continue;
            }
            for (Group& piece : split(records, part, true)) sets.push_back(std::move(piece));
        }
    }
    std::sort(sets.begin(), sets.end(), [](const Group& a, const Group& b) { return a.members[0] < b.members[0]; });
    return sets;
}

// Bytes that two names begin with in common, cut between characters.
inline std::size_t shared_prefix(std::string_view before, std::string_view name) {
    const std::size_t most = std::min(before.size(), name.size());
    std::size_t shared = 0;
    while (shared < most && before[shared] == name[shared]) ++shared;
    while (shared > 0 && shared < name.size() && (static_cast<std::uint8_t>(name[shared]) & 0xC0) == 0x80) --shared;
    return shared;
}

inline void check_slices(const Record& record) {
    std::vector<std::uint64_t> expected;
    if (has_levels(record.coding)) {
        const std::uint64_t slices = geometry_of(record).slices;
        const std::uint64_t leading = slices > 0 ? leading_slices(record) : 0;
        require(record.slice_bytes.size() == slices + leading, "the slices are more or fewer than the geometry's");
        for (const std::uint64_t bytes : record.slice_bytes) {
            require(bytes >= kSliceChecksumBytes, "a slice is shorter than its checksum");
        }
        if (record.gaps > 0) check_map(record);
        return;
    }
    if (record.coding == Coding::raw && !record.slice_bytes.empty()) expected = raw_slices(output_bytes_of(record));
    require(record.slice_bytes == expected, "the coding has other slices");
}

inline void check_record(const std::vector<Record>& records, std::size_t index) {
    const Record& record = records[index];
    require(is_utf8(record.name), "the name is not valid UTF-8");
    check_parameters(record);
    extent_of(record.shape);
    check_fields(record);
    if (has_step(record) && record.dtype != kFloat64) {
        // Compared before the cast, which has no result for what a float cannot hold.
        require(record.step <= double{std::numeric_limits<float>::max()}, "the step is no float32; round it first");
        require(double{static_cast<float>(record.step)} == record.step, "the step is no float32; round it first");
    }
    if (record.coding == Coding::alias) check_alias(records, index);
    check_slices(record);
}

// Whether a record's geometry is another than the natural rows in one slice, all of them.
inline bool says_geometry(const Record& record) {
    if (!has_levels(record.coding) || element_count(record.shape) == 0) return false;
    const Geometry geometry = geometry_of(record);
    return !geometry.natural_width || !geometry.one_slice || record.gaps > 0;
}

inline void write_record(ByteWriter& out, const Record& record, const Group& set, bool shapes) {
    if (shapes && !set.shape) write_shape(out, record);
    switch (record.coding) {
        case Coding::raw:
        case Coding::zero: break;
        case Coding::levels:
            if (!has_step(record)) {
                out.zigzag(record.offset);
            } else if (!set.step) {
                write_step(out, record);
            }
            break;
        case Coding::exact_float:
            out.u8(static_cast<std::uint8_t>(record.entries));
            out.u8(record.float_flags);
            out.varint(record.lowest);
            out.varint(static_cast<std::uint64_t>(record.offset));
            if ((record.float_flags & kEnds) != 0) out.varint(record.last);
            break;
        case Coding::codebook:
            out.varint(record.entries);
            out.varint(static_cast<std::uint64_t>(record.offset));
            break;
        case Coding::alias: out.varint(record.alias); break;
    }
    if (!has_levels(record.coding)) return;
    if (says_geometry(record)) {
        const Geometry geometry = geometry_of(record);
        out.varint(geometry.natural_width ? 0 : geometry.row_width);
        out.varint(geometry.one_slice ? 0 : geometry.slice_rows);
        out.varint(record.gaps);
    }
    for (const std::uint64_t bytes : record.slice_bytes) out.varint(bytes);
}

inline void write_layout(ByteWriter& out, const Layout& layout) {
    const auto last = std::max_element(layout.groups.begin(), layout.groups.end());
    const std::uint64_t count = last == layout.groups.end() ? 0 : *last + 1;
    out.varint(layout.joined);
    out.varint(count);
    if (count < 2) return;
    BitWriter numbers;
    for (const std::uint64_t group : layout.groups) numbers.put(group, group_width(count));
    out.bytes(numbers.finish());
}

inline void check(const std::vector<Record>& records, const Metadata& metadata, bool has_base) {
    std::unordered_set<std::string_view> names;
    for (std::size_t i = 0; i < records.size(); ++i) {
        try {
            check_record(records, i);
            require(has_base || !records[i].delta, "there is a difference, but no base");
            require(names.insert(records[i].name).second, "the name is there twice");
        } catch (const FormatError& error) {
            throw std::invalid_argument(subject(records[i].name) + error.what());
        }
    }
    std::unordered_set<std::string_view> keys;
    for (const auto& [key, value] : metadata) {
        if (!keys.insert(key).second) throw std::invalid_argument("metadata key '" + key + "' is there twice");
    }
}

}  // namespace writer_detail

// Preamble and header of a file whose payload is the records' slices, in order. With a layout the records are those of
// its slots, and names and shapes are left out. Equal arguments give equal bytes. Throws std::invalid_argument for
// records that the format cannot hold.
inline std::vector<std::uint8_t> pack(const std::vector<Record>& records, const Metadata& metadata = {},
                                      const std::optional<Digest>& base = std::nullopt,
                                      const std::optional<Layout>& layout = std::nullopt) {
    writer_detail::check(records, metadata, base.has_value());
    if (layout && !base) throw std::invalid_argument("a layout needs a base");
    ByteWriter header;
    if (base) header.bytes(*base);
    if (layout) writer_detail::write_layout(header, *layout);
    header.varint(metadata.size());
    for (const auto& [key, value] : metadata) {
        header.string(key);
        header.string(value);
    }
    header.varint(0);  // extensions

    const std::vector<writer_detail::Group> sets = writer_detail::make_sets(records, !layout);
    std::vector<std::size_t> set_of(records.size());
    header.varint(sets.size());
    for (std::size_t i = 0; i < sets.size(); ++i) {
        writer_detail::write_set(header, records[sets[i].members[0]], sets[i].shape, sets[i].step);
        for (const std::size_t member : sets[i].members) set_of[member] = i;
    }
    if (!layout) header.varint(records.size());
    std::string_view previous;
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (!layout) {
            const std::string_view name = records[i].name;
            const std::size_t shared = writer_detail::shared_prefix(previous, name);
            header.varint(shared);
            header.string(name.substr(shared));
            previous = name;
        }
        header.varint(2 * set_of[i] + (writer_detail::says_geometry(records[i]) ? 1 : 0));
        writer_detail::write_record(header, records[i], sets[set_of[i]], !layout);
    }
    if (header.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("the header exceeds 4 GiB");
    }

    ByteWriter file;
    file.bytes(kMagic);
    file.u8(kVersion);
    file.u8(static_cast<std::uint8_t>((base ? kBaseFlag : 0) | (layout ? kLayoutFlag : 0)));
    file.u16(0);
    file.u32(static_cast<std::uint32_t>(header.size()));
    file.u32(crc32c(header.view(), crc32c(file.view())));
    file.bytes(header.view());
    return file.take();
}

}  // namespace cabacus
