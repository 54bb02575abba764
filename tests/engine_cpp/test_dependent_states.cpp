// The state machines of FORMAT 5.6: both quantizers are reached, and every state by two ways.
#include "cabacus/dependent_states.hpp"

#include "check.hpp"

#include <array>
#include <cstdint>
#include <set>

using cabacus::trellis_multiple;
using cabacus::trellis_next;
using cabacus::trellis_quantizer;

TEST(dependent_states_are_each_reached_by_two_ways) {
    for (const int states : {4, 8}) {
        std::array<int, cabacus::kMaxStates> reached{};
        std::array<int, 2> quantizers{};
        for (int state = 0; state < states; ++state) {
            const auto from = static_cast<std::uint8_t>(state);
            CHECK(trellis_next(states, from, 0) != trellis_next(states, from, 1));
            ++reached[trellis_next(states, from, 0)];
            ++reached[trellis_next(states, from, -1)];
            ++quantizers[static_cast<std::size_t>(trellis_quantizer(states, from))];
        }
        for (int state = 0; state < states; ++state) CHECK_EQUAL(reached[static_cast<std::size_t>(state)], 2);
        CHECK_EQUAL(quantizers[0], quantizers[1]);
    }
}

TEST(dependent_states_follow_the_parity_of_any_level) {
    for (const std::int32_t level : {-3, -1, 1, 5, cabacus::kMaxTrellisLevel}) CHECK_EQUAL(trellis_next(8, 2, level), 4);
    for (const std::int32_t level : {-4, -2, 0, 2, 1 << 29}) CHECK_EQUAL(trellis_next(8, 2, level), 5);
}

TEST(dependent_states_quantizers_share_zero_and_nothing_else) {
    std::set<std::int32_t> even;
    std::set<std::int32_t> odd;
    for (std::int32_t level = -9; level <= 9; ++level) {
        even.insert(trellis_multiple(0, level));
        odd.insert(trellis_multiple(1, level));
    }
    CHECK_EQUAL(even.size(), 19U);
    CHECK_EQUAL(odd.size(), 19U);
    for (const std::int32_t multiple : even) CHECK((odd.count(multiple) != 0) == (multiple == 0));
    CHECK_EQUAL(trellis_multiple(1, cabacus::kMaxTrellisLevel), 0x7FFFFFFD);
    CHECK_EQUAL(trellis_multiple(0, -cabacus::kMaxTrellisLevel), -0x7FFFFFFE);
}
