// What a file says about its tensors: the values of the header, and a reader's limits. FORMAT sections 2 and 3.
#pragma once

#include "cabacus/level_coding.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cabacus {

inline constexpr std::array<std::uint8_t, 4> kMagic{0xAB, 0x43, 0x42, 0x43};
inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kPreambleBytes = 16;
inline constexpr std::size_t kChecksummedPreambleBytes = 12;  // those before the checksum itself

// Flags of the preamble.
inline constexpr std::uint8_t kBaseFlag = 1;
inline constexpr std::uint8_t kLayoutFlag = 2;

// Flags of a parameter set.
inline constexpr std::uint8_t kDeltaFlag = 1;
inline constexpr std::uint8_t kAxesFlag = 2;
inline constexpr std::uint8_t kShapeFlag = 4;
inline constexpr std::uint8_t kStepFlag = 8;

inline constexpr std::uint64_t kSliceChecksumBytes = 4;
inline constexpr std::uint64_t kRawSliceBytes = std::uint64_t{1} << 24;  // of elements; a multiple of every element's bytes
inline constexpr std::uint64_t kMaxExtent = (std::uint64_t{1} << 63) - 1;
inline constexpr std::uint32_t kMaxEntries = 65536;

enum class Coding : std::uint8_t { raw = 0, levels = 1, exact_float = 2, codebook = 3, zero = 4, alias = 5 };

using Digest = std::array<std::uint8_t, 32>;
using Metadata = std::vector<std::pair<std::string, std::string>>;

// One tensor. Fields that its coding does not use stand at their defaults.
struct Record {
    std::string name;  // valid UTF-8
    std::uint8_t dtype = 0;
    Coding coding = Coding::raw;
    bool delta = false;  // stored as a difference to the base
    std::vector<std::uint64_t> shape;
    std::uint64_t alias = 0;          // index of the tensor that holds the same data (alias)
    std::vector<std::uint32_t> axes;  // the scan's permutation of axes; empty: as they are
    LevelCoding levels;
    double step = 0.0;          // a float32 unless dtype is float64 (levels)
    std::int64_t offset = 0;    // what is added to every level of an integer tensor; the center (codebook, exact_float)
    std::uint32_t entries = 0;  // entries (codebook), mantissa bits kept (exact_float)
    std::uint8_t float_flags = 0;  // these three: exact_float
    std::uint32_t lowest = 0;      // the exponent field of index 1
    std::uint32_t last = 0;        // the place of level 0 among ends
    std::uint64_t row_width = 0;   // elements of a scan row; for `pack`, 0 is the natural width
    std::uint64_t slice_rows = 0;  // scan rows of a slice; for `pack`, 0 is all of them
    std::uint64_t gaps = 0;        // indices of the scan's first axis that are left out, their levels being 0 (levels)
    std::vector<std::uint64_t> slice_bytes;  // in the payload, checksums included; the codebook or the map is the first
    std::uint64_t start = 0;                 // where the payload begins in the file; `pack` ignores it
    std::vector<std::uint64_t> members;      // with a layout: places among the base's tensors of those that it holds

    friend bool operator==(const Record&, const Record&) = default;
};

// A tensor of a base, whose tensors are in the order of their names' bytes.
struct BaseTensor {
    std::string name;
    std::uint8_t dtype = 0;
    std::vector<std::uint64_t> shape;
};

// How the records of a file without names and shapes hold its base's tensors. Those of fewer than `joined` elements are
// joined to groups, a record each; all others have a record of their own, before those.
struct Layout {
    std::uint64_t joined = 0;
    std::vector<std::uint64_t> groups;  // of every joined tensor, its group

    friend bool operator==(const Layout&, const Layout&) = default;
};

struct Header {
    std::uint8_t version = kVersion;
    bool complete = true;     // false: what follows the digest can be read with the base alone, and was not
    std::uint64_t bytes = 0;  // preamble and header: the payload begins there
    std::uint64_t file_bytes = 0;
    Metadata metadata;
    std::optional<Digest> base;  // SHA-256 of the base
    std::optional<Layout> layout;
    std::vector<Record> records;
};

// What a file may ask for: cabacus.limits.Limits, with its names and defaults. Inclusive maxima.
struct Limits {
    std::uint64_t tensors = std::uint64_t{1} << 20;
    std::uint64_t rank = 32;
    std::uint64_t name_bytes = 4096;
    std::uint64_t elements = std::uint64_t{1} << 34;
    std::uint64_t total_elements = std::uint64_t{1} << 36;
    std::uint64_t header_bytes = std::uint64_t{1} << 24;
    std::uint64_t output_bytes = std::uint64_t{1} << 36;
};

}  // namespace cabacus
