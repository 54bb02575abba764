// Eq. 1: of its candidates, the level of least error and rate.
#include "cabacus/quantizer.hpp"

#include "cabacus/bin_cost.hpp"
#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using cabacus::Greedy;
using cabacus::WeightSlice;
using samples::Random;

namespace {

struct Rates {
    Rates() : bins(coding()), costs(bins) {
        cabacus::Probabilities probabilities(coding());
        costs.refresh(probabilities.tables());
    }
    static cabacus::LevelCoding coding() {
        cabacus::LevelCoding made;
        made.flags = 3;
        made.prefixes = 6;
        made.width = 20;
        return made;
    }
    cabacus::Binarization bins;
    cabacus::LevelCosts costs;
};

double price(const WeightSlice<float>& slice, std::size_t at, std::int32_t level, const Rates& rates) {
    const double error = slice.scaled(at) - level;
    return slice.importance(at) * error * error + slice.rate_weight * rates.costs(2, 1, level) / 65536.0;
}

}  // namespace

TEST(quantizer_takes_the_cheapest_candidate) {
    const Rates rates;
    Random random(12);
    for (int round = 0; round < 2000; ++round) {
        const std::vector<float> weights{static_cast<float>(samples::laplace(random, 2.0))};
        const std::vector<float> eta{static_cast<float>(0.2 + random.unit() * 3)};
        const WeightSlice<float> slice{weights.data(), eta.data(), 0.5, random.unit(), 0.0};
        std::int32_t level = 99;
        const std::int32_t near = cabacus::nearest(slice.scaled(0));
        CHECK_EQUAL((Greedy<float>{slice, &level, 0}.choose(0, 2, 1, rates.costs)), level);
        const double here = price(slice, 0, level, rates);
        const std::int32_t inner = near > 0 ? near - 1 : near < 0 ? near + 1 : 0;
        for (const std::int32_t other : {near, inner, 0}) CHECK(here <= price(slice, 0, other, rates));
        CHECK(level == near || level == inner || level == 0);
        std::int32_t best = 99;
        Greedy<float>{slice, &best, 60}.choose(0, 2, 1, rates.costs);
        for (std::int32_t other = -60; other <= 60; ++other) CHECK(price(slice, 0, best, rates) <= price(slice, 0, other, rates));
    }
}

TEST(quantizer_without_rates_is_rounding) {
    const Rates rates;
    Random random(13);
    for (int round = 0; round < 500; ++round) {
        const std::vector<double> weights{samples::laplace(random, 5.0)};
        const WeightSlice<double> slice{weights.data(), nullptr, 0.25, 0.0, 0.0};
        std::int32_t level = 99;
        Greedy<double>{slice, &level, 0}.choose(0, 0, 0, rates.costs);
        CHECK_EQUAL(level, cabacus::nearest(weights[0] / 0.25));
    }
}

TEST(quantizer_keeps_the_greatest_error) {
    const Rates rates;
    Random random(14);
    for (int round = 0; round < 2000; ++round) {
        const std::vector<float> weights{static_cast<float>(samples::laplace(random, 2.0))};
        const WeightSlice<float> slice{weights.data(), nullptr, 0.5, 100.0, 0.3};
        std::int32_t level = 99;
        Greedy<float>{slice, &level, round % 2 == 0 ? 0 : 50}.choose(0, 2, 1, rates.costs);
        CHECK(std::abs(static_cast<double>(weights[0]) - 0.5 * level) <= 0.3);
    }
}

TEST(quantizer_rounds_ties_to_even) {
    CHECK_EQUAL(cabacus::nearest(0.5), 0);
    CHECK_EQUAL(cabacus::nearest(1.5), 2);
    CHECK_EQUAL(cabacus::nearest(-2.5), -2);
    CHECK_EQUAL(cabacus::nearest(-536870912.0), -(1 << 29));
}
