// Costs are -log2 of probabilities, and a level's is the sum of its bins'.
#include "cabacus/bin_cost.hpp"

#include "cabacus/binarization.hpp"
#include "cabacus/contexts.hpp"
#include "cabacus/level_walk.hpp"
#include "check.hpp"
#include "samples.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>

using cabacus::Binarization;
using cabacus::LevelCoding;
using cabacus::LevelCosts;
using cabacus::Tables;
using samples::Random;

namespace {

struct Meter {
    std::uint64_t total = 0;
    bool code(int, std::uint32_t probability, bool bin) {
        total += cabacus::cost_of(probability, bin);
        return bin;
    }
};

}  // namespace

TEST(bin_cost_is_minus_log2) {
    for (std::uint32_t p = 1; p < cabacus::kProbabilityOne; ++p) {
        const double exact = -std::log2(p / 4096.0) * 65536.0;
        CHECK(std::abs(static_cast<double>(cabacus::cost_of(p, true)) - exact) <= 1.5);
        CHECK_EQUAL(cabacus::cost_of(p, true), cabacus::cost_of(cabacus::kProbabilityOne - p, false));
        if (p > 1) CHECK(cabacus::cost_of(p, true) < cabacus::cost_of(p - 1, true));
    }
    CHECK_EQUAL(cabacus::cost_of(2048, true), 1U << cabacus::kCostBits);
    CHECK_EQUAL(cabacus::cost_of(1, true), 12U << cabacus::kCostBits);
}

TEST(bin_cost_of_a_level_is_that_of_its_bins) {
    Random random(11);
    for (int round = 0; round < 300; ++round) {
        const LevelCoding coding = samples::any_coding(random, false);
        const Binarization bins(coding);
        Tables tables;
        const auto draw = [&](auto& table) {
            for (std::uint32_t& p : table) p = static_cast<std::uint32_t>(1 + random.below(4095));
        };
        for (auto& table : tables.unary) draw(table);
        draw(tables.sign);
        for (auto& node : tables.suffix) draw(node);
        LevelCosts costs(bins);
        costs.refresh(tables);
        for (const std::int32_t level : samples::any_levels(random, 20)) {
            cabacus::StepContexts at{};
            at.unary[0] = samples::byte(random, 0, 15);
            at.sign[0] = samples::byte(random, 0, 14);
            Meter meter;
            cabacus::BinWalk<Meter> walk(meter, bins);
            cabacus::BlockCounts counts;
            std::int32_t coded = level;
            walk.step(tables, counts, at, 1, &coded);
            CHECK_EQUAL(costs(at.unary[0], at.sign[0], level), meter.total);
            const std::uint32_t sign = level == 0 ? 0 : cabacus::cost_of(tables.sign[at.sign[0]], level < 0);
            const std::uint32_t magnitude = level < 0 ? 0u - static_cast<std::uint32_t>(level) : static_cast<std::uint32_t>(level);
            CHECK_EQUAL(costs.magnitude(at.unary[0], magnitude), meter.total - sign);
        }
    }
}
