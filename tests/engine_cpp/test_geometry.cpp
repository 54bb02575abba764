// A slice over its lanes: every level is at one step and in one lane.
#include "cabacus/geometry.hpp"

#include "check.hpp"

#include <cstddef>
#include <vector>

using cabacus::SliceGeometry;

TEST(geometry_every_level_has_its_step) {
    for (const int lanes : {1, 2, 4, 64}) {
        for (std::size_t weights = 1; weights <= 70; ++weights) {
            for (std::size_t width = 1; width <= weights; ++width) {
                const SliceGeometry geometry{weights, width, lanes};
                std::vector<int> seen(weights);
                for (std::size_t group = 0; group < geometry.groups(); ++group) {
                    const SliceGeometry::Group shape = geometry.group(group);
                    int before = lanes;
                    for (std::size_t column = 0; column < shape.columns; ++column) {
                        const int active = shape.active(column);
                        CHECK(active >= 1 && active <= before);
                        before = active;
                        for (int lane = 0; lane < active; ++lane) {
                            const std::size_t row = group * static_cast<std::size_t>(lanes) + static_cast<std::size_t>(lane);
                            ++seen.at(row * width + column);
                        }
                    }
                }
                for (const int times : seen) CHECK_EQUAL(times, 1);
                CHECK_EQUAL(geometry.used_lanes(), static_cast<int>(geometry.rows() < static_cast<std::size_t>(lanes)
                                                                        ? geometry.rows()
                                                                        : static_cast<std::size_t>(lanes)));
            }
        }
    }
}
