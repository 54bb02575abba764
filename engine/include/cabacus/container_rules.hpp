// What a record must be, and the geometry that follows from it, for reader and writer alike. FORMAT sections 3 and 4.
#pragma once

#include "cabacus/container.hpp"
#include "cabacus/dtype.hpp"
#include "cabacus/error.hpp"
#include "cabacus/exact_float.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cabacus {

inline void require(bool condition, const char* otherwise) {
    if (!condition) throw FormatError(Fault::corrupt, otherwise);
}

// What a message about a tensor begins with.
inline std::string subject(const std::string& tensor) { return "tensor '" + tensor + "': "; }

// Codings 1 to 3 have level parameters, a scan, and slices whose lengths are stored.
inline bool has_levels(Coding coding) {
    return coding == Coding::levels || coding == Coding::exact_float || coding == Coding::codebook;
}

// The element type; an unknown one is unsupported.
inline const DType& dtype_of(const Record& record) {
    const DType* dtype = find_dtype(record.dtype);
    if (dtype == nullptr) {
        throw FormatError(Fault::unsupported, "the element type " + std::to_string(record.dtype) + " is unknown");
    }
    return *dtype;
}

inline bool is_floating(const Record& record) { return dtype_of(record).kind == DTypeKind::floating; }

inline bool has_step(const Record& record) { return record.coding == Coding::levels && is_floating(record); }

// The product of the dimensions, 0 counting as 1.
inline std::uint64_t extent_of(const std::vector<std::uint64_t>& shape) {
    std::uint64_t extent = 1;
    for (const std::uint64_t size : shape) {
        require(size <= kMaxExtent / extent, "the product of the dimensions is not below 2^63");
        extent *= std::max<std::uint64_t>(size, 1);
    }
    return extent;
}

inline std::uint64_t element_count(const std::vector<std::uint64_t>& shape) {
    const std::uint64_t extent = extent_of(shape);
    return std::find(shape.begin(), shape.end(), 0) == shape.end() ? extent : 0;
}

// Start probabilities that a parameter set has, where it has them.
inline std::size_t start_count(const LevelCoding& levels) { return static_cast<std::size_t>(levels.unary()); }

inline void check_level_coding(const LevelCoding& levels) {
    require(levels.flags <= kMaxFlags, "there are too many AbsGr flags");
    require(levels.unary() <= kMaxUnary, "there are too many flags and prefix bins");
    require(levels.golomb + levels.prefixes <= kMaxSuffix, "the order of the remainder is too great");
    require(levels.width <= kMaxWidth, "the remainder is too wide");
    require(levels.row_shift <= kMaxShift && levels.column_shift <= kMaxShift, "a rate is too slow");
    require(levels.class_floor <= kMaxClassFloor, "the floor of the classes is too high");
    require(levels.trellis == 0 || levels.trellis == 4 || levels.trellis == 8, "the trellis has neither 0, 4 nor 8 states");
    require(levels.lanes_log2 <= kMaxLanesLog2, "there are too many lanes");
    require(levels.start.empty() || levels.start.size() == start_count(levels), "the number of starts is wrong");
    if (levels.context >= kContextSets) {
        throw FormatError(Fault::unsupported, "the context set " + std::to_string(levels.context) + " is unknown");
    }
}

inline void check_axes(const std::vector<std::uint32_t>& axes) {
    std::vector<bool> seen(axes.size());
    bool identity = true;
    for (std::size_t i = 0; i < axes.size(); ++i) {
        require(axes[i] < axes.size() && !seen[axes[i]], "the axes are no permutation");
        seen[axes[i]] = true;
        identity = identity && axes[i] == i;
    }
    require(!identity, "the axes are the identity");
}

// What a parameter set says beside shape and step.
inline void check_parameters(const Record& record) {
    const DType& dtype = dtype_of(record);
    if (record.coding > Coding::alias) {
        const int id = static_cast<int>(record.coding);
        throw FormatError(Fault::unsupported, "the coding " + std::to_string(id) + " is unknown");
    }
    require(record.coding != Coding::levels || dtype.kind != DTypeKind::complex, "complex elements have no levels");
    require(record.coding != Coding::exact_float || (dtype.kind == DTypeKind::floating && dtype.bytes > 1),
            "the elements are no floating-point numbers of two bytes and more");
    require(!record.delta || (dtype.kind == DTypeKind::floating && record.coding != Coding::alias),
            "a difference needs a floating type and no alias");
    require(record.axes.empty() || has_levels(record.coding), "the coding has no axes");
    if (!record.axes.empty()) check_axes(record.axes);
    if (has_levels(record.coding)) check_level_coding(record.levels);
}

inline void check_step(double step) { require(std::isfinite(step) && step > 0, "the step is not finite and above 0"); }

inline ExactFloat exact_float_of(const Record& record) {
    const DType& dtype = dtype_of(record);
    return {dtype.mantissa_bits, exponent_bits_of(dtype), static_cast<int>(record.entries), record.float_flags, record.lowest,
            static_cast<std::uint32_t>(record.offset), record.last};
}

inline void check_exact_float(const Record& record) {
    require(record.entries <= dtype_of(record).mantissa_bits, "the type has fewer mantissa bits");
    const ExactFloat exact = exact_float_of(record);
    constexpr std::uint8_t both = kZeroSigns | kZeroWhole;
    require(exact.flags <= kExactFlags && (exact.flags & both) != both, "the flags of the floats are reserved");
    const std::uint32_t greatest = exact.greatest_field();
    require(exact.lowest >= 1 && exact.lowest <= greatest, "the lowest exponent is none of the type");
    require(record.offset >= 0 && record.offset <= std::int64_t{greatest} - exact.lowest + 1, "the center is no exponent");
    require(exact.has_ends() ? exact.last >= 1 && exact.last <= greatest + record.entries : exact.last == 0,
            "the place of the last bits is none");
}

// What a record says beside its name, its geometry and its slices. check_parameters and extent_of come first.
inline void check_fields(const Record& record) {
    require(record.axes.empty() || record.axes.size() == record.shape.size(), "axes and shape differ in rank");
    if (has_step(record)) check_step(record.step);
    if (record.coding == Coding::exact_float) {
        check_exact_float(record);
    }
    if (record.coding == Coding::codebook) {
        require(record.entries >= 1 && record.entries <= kMaxEntries, "a codebook has 1 to 65536 entries");
        require(record.offset >= 0 && record.offset < std::int64_t{record.entries}, "a codebook's center is no entry");
    }
}

// records[index] is an alias: of an earlier tensor that has elements of its own, alike in type and shape.
inline void check_alias(const std::vector<Record>& records, std::size_t index) {
    const Record& record = records[index];
    require(record.alias < index, "an alias names no earlier tensor");
    const Record& holder = records[static_cast<std::size_t>(record.alias)];
    require(holder.coding != Coding::alias, "an alias names an alias");
    require(holder.dtype == record.dtype && holder.shape == record.shape, "an alias differs in type or shape");
}

// `dividend` is at least 1.
inline std::uint64_t divide_up(std::uint64_t dividend, std::uint64_t divisor) { return (dividend - 1) / divisor + 1; }

// The axis of the shape that the scan has first; the rank is at least 1.
inline std::size_t first_axis(const Record& record) { return record.axes.empty() ? 0 : record.axes[0]; }

// Bytes of the map of a record with gaps: a bit for every index of the first axis.
inline std::uint64_t map_bytes(const Record& record) { return divide_up(record.shape[first_axis(record)], 8); }

// Slices before those of levels: the codebook, or the map of what is left out.
inline std::size_t leading_slices(const Record& record) {
    return record.coding == Coding::codebook || record.gaps > 0 ? 1 : 0;
}

// The tensor that is coded, smaller by what is left out. Its payload begins after the map.
inline Record without_gaps(Record record) {
    if (record.gaps == 0) return record;
    record.shape[first_axis(record)] -= record.gaps;
    record.gaps = 0;
    if (!record.slice_bytes.empty()) {
        record.start += record.slice_bytes.front();
        record.slice_bytes.erase(record.slice_bytes.begin());
    }
    return record;
}

inline void check_map(const Record& record) {
    require(record.slice_bytes.front() == map_bytes(record) + kSliceChecksumBytes, "the map of gaps has another size");
}

inline void check_gaps(const Record& record) {
    if (record.gaps == 0) return;
    require(record.coding == Coding::levels, "the coding has no gaps");
    require(record.shape.size() >= 2, "a tensor of less than two dimensions has gaps");
    require(element_count(record.shape) > 0 && record.gaps < record.shape[first_axis(record)], "there are too many gaps");
}

// The scan of a tensor of codings 1 to 3, in numbers that are not 0 unless there are no elements.
struct Geometry {
    std::uint64_t row_width = 0;
    std::uint64_t slice_rows = 0;
    std::uint64_t slices = 0;  // of levels
    bool natural_width = true;
    bool one_slice = true;
};

inline Geometry geometry_of(const Record& record) {
    check_gaps(record);
    std::uint64_t elements = element_count(record.shape);
    Geometry geometry;
    if (elements == 0) {
        require(record.row_width == 0 && record.slice_rows == 0, "a tensor without elements has rows");
        return geometry;
    }
    const std::uint64_t natural = record.shape.size() < 2 ? elements : elements / record.shape[first_axis(record)];
    elements -= record.gaps * natural;
    geometry.row_width = record.row_width == 0 ? natural : record.row_width;
    require(geometry.row_width <= elements, "a scan row exceeds the tensor");
    const std::uint64_t rows = divide_up(elements, geometry.row_width);
    geometry.slice_rows = record.slice_rows == 0 ? rows : record.slice_rows;
    require(geometry.slice_rows <= rows, "a slice exceeds the tensor");
    geometry.slices = divide_up(rows, geometry.slice_rows);
    geometry.natural_width = geometry.row_width == natural;
    geometry.one_slice = geometry.slice_rows == rows;
    return geometry;
}

// Bits of the number of a group, of two or more.
inline int group_width(std::uint64_t count) { return static_cast<int>(std::bit_width(count - 1)); }

// What a record of a file with a layout holds.
struct Slot {
    std::vector<std::uint64_t> members;
    std::vector<std::uint64_t> shape;
};

// One for every tensor that is not joined, then one for every group.
inline std::vector<Slot> slots_of(const Layout& layout, const std::vector<BaseTensor>& base) {
    std::vector<Slot> alone;
    std::vector<Slot> groups;
    std::size_t joined = 0;
    for (std::size_t i = 0; i < base.size(); ++i) {
        const std::uint64_t elements = element_count(base[i].shape);
        if (elements >= layout.joined) {
            alone.push_back({{i}, base[i].shape});
            continue;
        }
        const auto group = static_cast<std::size_t>(layout.groups.at(joined++));
        if (groups.size() <= group) groups.resize(group + 1, {{}, {0}});
        groups[group].members.push_back(i);
        groups[group].shape[0] += elements;
    }
    alone.insert(alone.end(), groups.begin(), groups.end());
    return alone;
}

// Sums and products that stop at 2^64 - 1, which no limit and no file exceeds.
inline std::uint64_t add_capped(std::uint64_t a, std::uint64_t b) {
    return a + b < a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

inline std::uint64_t multiply_capped(std::uint64_t a, std::uint64_t b) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    return b != 0 && a > most / b ? most : a * b;
}

inline std::uint64_t output_bytes_of(const Record& record) {
    return multiply_capped(element_count(record.shape), dtype_of(record).bytes);
}

inline std::uint64_t raw_slice_count(std::uint64_t element_bytes) {
    return element_bytes == 0 ? 0 : divide_up(element_bytes, kRawSliceBytes);
}

// The slices of a raw tensor, which a file does not list. The caller bounds raw_slice_count first.
inline std::vector<std::uint64_t> raw_slices(std::uint64_t element_bytes) {
    std::vector<std::uint64_t> slices(static_cast<std::size_t>(raw_slice_count(element_bytes)),
                                      kRawSliceBytes + kSliceChecksumBytes);
    if (!slices.empty()) slices.back() = (element_bytes - 1) % kRawSliceBytes + 1 + kSliceChecksumBytes;
    return slices;
}

}  // namespace cabacus
