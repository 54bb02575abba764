// Sums over a tensor's weights that decisions rest on, in one fixed order, so that they are the same on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace cabacus {

struct Moments {
    double sum_of_squares = 0.0;
    double largest = 0.0;                // magnitude
    std::int64_t first_not_finite = -1;  // index, or -1
};

// Sums eight interleaved parts, which compilers may turn into vectors without changing a bit.
template <class Real>
Moments moments(const Real* weights, std::size_t count) {
    constexpr std::size_t kParts = 8;
    double sums[kParts] = {};
    Moments result;
    for (std::size_t i = 0; i < count; ++i) {
        const double weight = static_cast<double>(weights[i]);
        if (!std::isfinite(weight)) {
            result.first_not_finite = static_cast<std::int64_t>(i);
            return result;
        }
        sums[i % kParts] += weight * weight;
        result.largest = std::max(result.largest, std::abs(weight));
    }
    for (const double sum : sums) result.sum_of_squares += sum;
    return result;
}

}  // namespace cabacus
