// Decodes slices of a tensor into levels or weights, on some threads. FORMAT sections 4 and 5.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/error.hpp"
#include "cabacus/geometry.hpp"
#include "cabacus/lanes/decode.hpp"
#include "cabacus/level_coding.hpp"
#include "cabacus/parallel.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace cabacus {

// A run of a tensor's slices as they lie in a file.
struct SliceRun {
    const LevelCoding& coding;
    std::size_t weights;        // of the whole tensor
    std::size_t row_width;      // >= 1
    std::size_t slice_rows;     // >= 1
    std::size_t first;          // the first slice of the run
    std::vector<std::size_t> bytes;  // of each slice, checksum included
    std::span<const std::uint8_t> data;  // begins with the first slice

    std::size_t slice_weights() const { return slice_rows * row_width; }
    std::size_t begin(std::size_t piece) const { return (first + piece) * slice_weights(); }
    std::size_t size(std::size_t piece) const { return std::min(slice_weights(), weights - begin(piece)); }
};

// The bytes of a slice, without the checksum, which is verified.
inline std::span<const std::uint8_t> checked_slice(std::span<const std::uint8_t> slice, const std::string& tensor) {
    constexpr std::size_t kChecksumBytes = 4;
    if (slice.size() < kChecksumBytes) throw FormatError(Fault::corrupt, "a slice has no checksum", tensor);
    const auto body = slice.first(slice.size() - kChecksumBytes);
    ByteReader tail(slice.last(kChecksumBytes));
    if (tail.u32() != crc32c(body)) throw FormatError(Fault::corrupt, "a slice has another checksum", tensor);
    return body;
}

// `work(position, geometry, bytes)` for every slice of the run, its checksum verified and left out. Positions count from the
// run's start.
template <class Work>
void for_each_slice(const SliceRun& run, int threads, const std::string& tensor, const Work& work) {
    std::vector<std::size_t> offsets(run.bytes.size() + 1, 0);
    for (std::size_t i = 0; i < run.bytes.size(); ++i) {
        offsets[i + 1] = offsets[i] + run.bytes[i];
        if (offsets[i + 1] > run.data.size()) throw FormatError(Fault::truncated, "the data ends within a slice", tensor);
    }
    for_each_piece(run.bytes.size(), threads, [&](std::size_t piece) {
        const auto bytes = checked_slice(run.data.subspan(offsets[piece], run.bytes[piece]), tensor);
        const SliceGeometry geometry{run.size(piece), run.row_width, run.coding.lanes()};
        try {
            work(run.begin(piece) - run.begin(0), geometry, bytes);
        } catch (const FormatError& error) {
            throw FormatError(error.kind, error.what(), tensor, error.limit);
        }
    });
}

// For every slice: `place(position, count)` says where its levels go, `done(position, levels, count)` is told that they
// are there.
template <class Place, class Done>
void decode_slices(const SliceRun& run, int threads, const std::string& tensor, const Place& place, const Done& done) {
    for_each_slice(run, threads, tensor,
                   [&](std::size_t position, const SliceGeometry& geometry, std::span<const std::uint8_t> words) {
                       auto&& levels = place(position, geometry.weights);
                       decode_slice(geometry, run.coding, words, levels.data());
                       done(position, levels.data(), geometry.weights);
                   });
}

inline void decode_levels(const SliceRun& run, int threads, const std::string& tensor, std::int32_t* out) {
    decode_slices(
        run, threads, tensor,
        [out](std::size_t position, std::size_t count) { return std::span<std::int32_t>(out + position, count); },
        [](std::size_t, const std::int32_t*, std::size_t) {});
}

// Weights: the step times the level in float64, rounded once. The levels are put where the weights come to lie, at the end
// of their place, and turned piece by piece from the front: what is written never reaches what is still to be read.
template <class Real>
void decode_weights(const SliceRun& run, double step, int threads, const std::string& tensor, Real* out) {
    static_assert(sizeof(Real) >= sizeof(std::int32_t));
    decode_slices(
        run, threads, tensor,
        [out](std::size_t position, std::size_t count) {
            return std::span<std::int32_t>(reinterpret_cast<std::int32_t*>(out + position + count) - count, count);
        },
        [out, step](std::size_t position, const std::int32_t* levels, std::size_t count) {
            std::array<std::int32_t, 256> piece;
            for (std::size_t begin = 0; begin < count; begin += piece.size()) {
                const std::size_t size = std::min(piece.size(), count - begin);
                std::memcpy(piece.data(), levels + begin, size * sizeof(std::int32_t));
                Real* const to = out + position + begin;
                for (std::size_t i = 0; i < size; ++i) to[i] = static_cast<Real>(step * piece[i]);
            }
        });
}

}  // namespace cabacus
