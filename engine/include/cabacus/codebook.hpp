// From indices to the elements that they name. FORMAT 6.3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cabacus {

// Whether every level plus `center` is an index of `book`, which has `entries` >= 1 elements. `out` may lie where the
// levels do, if its elements are as large.
template <class Bits>
bool look_up(const std::int32_t* levels, std::size_t count, std::uint32_t center, const Bits* book, std::uint32_t entries,
             Bits* out) {
    std::uint32_t seen = 0;
    for (std::size_t i = 0; i < count; ++i) {
        // What is below 0 wraps around, and is above the last.
        const std::uint32_t index = static_cast<std::uint32_t>(levels[i]) + center;
        seen = std::max(seen, index);
        out[i] = book[std::min(index, entries - 1)];
    }
    return seen < entries;
}

}  // namespace cabacus
