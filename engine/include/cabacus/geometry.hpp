// How a slice is laid over its lanes: row r goes to lane r mod L, the lanes step through the columns together. FORMAT 5.1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cabacus {

struct SliceGeometry {
    std::size_t weights;    // >= 1
    std::size_t row_width;  // >= 1; the last row may be shorter
    int lanes;

    std::size_t rows() const { return (weights + row_width - 1) / row_width; }
    std::size_t groups() const { return (rows() + static_cast<std::size_t>(lanes) - 1) / static_cast<std::size_t>(lanes); }
    // Lanes that carry a row at all.
    int used_lanes() const { return static_cast<int>(std::min(rows(), static_cast<std::size_t>(lanes))); }
    // Rows of a group.
    int group_rows(std::size_t group) const {
        return static_cast<int>(std::min(rows() - group * static_cast<std::size_t>(lanes), static_cast<std::size_t>(lanes)));
    }
    // Columns of the very last row.
    std::size_t last_width() const { return weights - (rows() - 1) * row_width; }
    // Lanes that have a weight at a column of a group: all of the group's rows, but for a last row that is short.
    int active(std::size_t group, std::size_t column) const {
        const int count = group_rows(group);
        return group + 1 == groups() && column >= last_width() ? count - 1 : count;
    }
    // Columns of a group: where its only row is short, that row's.
    std::size_t columns(std::size_t group) const {
        return group + 1 == groups() && group_rows(group) == 1 ? last_width() : row_width;
    }
};

}  // namespace cabacus
