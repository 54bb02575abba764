// Sums in a fixed order, and the first weight that is no number.
#include "cabacus/moments.hpp"

#include "check.hpp"

#include <cstddef>
#include <limits>
#include <vector>

TEST(moments_sum_eight_parts) {
    // 2^60 absorbs a hundred, whose half of a last place is 128, but not two hundred: the sum of another part.
    std::vector<double> weights(17, 10.0);
    weights[0] = 1073741824.0;
    const cabacus::Moments found = cabacus::moments(weights.data(), weights.size());
    CHECK_EQUAL(found.sum_of_squares, 1152921504606846976.0 + 7 * 256.0);
    CHECK_EQUAL(found.largest, 1073741824.0);
    CHECK_EQUAL(found.first_not_finite, -1);
}

TEST(moments_the_first_that_is_not_finite_is_told) {
    std::vector<float> weights(30, -1.0F);
    weights[21] = std::numeric_limits<float>::quiet_NaN();
    CHECK_EQUAL(cabacus::moments(weights.data(), weights.size()).first_not_finite, 21);
    weights[9] = -std::numeric_limits<float>::infinity();
    CHECK_EQUAL(cabacus::moments(weights.data(), weights.size()).first_not_finite, 9);
    CHECK_EQUAL(cabacus::moments(weights.data(), 0).sum_of_squares, 0.0);
    CHECK_EQUAL(cabacus::moments(weights.data(), 9).sum_of_squares, 9.0);
}
