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

    // A group of rows; its numbers take divisions to find, so find them once.
    struct Group {
        int rows;
        std::size_t columns;     // where its only row is short, that row's
        std::size_t short_from;  // the column from which its last row has no weight

        // Lanes that have a weight at a column.
        int active(std::size_t column) const { return rows - static_cast<int>(column >= short_from); }
    };
    Group group(std::size_t index) const {
        const bool last = index + 1 == groups();
        const int count = group_rows(index);
        const std::size_t width = last ? last_width() : row_width;
        return {count, count == 1 ? width : row_width, width};
    }
};

}  // namespace cabacus
