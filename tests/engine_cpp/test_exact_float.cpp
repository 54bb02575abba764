// Bits one after the other.
#include "cabacus/exact_float.hpp"

#include "check.hpp"

#include <cstdint>
#include <vector>

TEST(bits_come_back_in_order) {
    cabacus::BitWriter out;
    std::uint64_t seed = 1;
    std::vector<std::uint64_t> numbers;
    for (int width = 0; width <= 53; ++width) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        numbers.push_back((seed ^ seed >> 20) & ((std::uint64_t{1} << width) - 1));
        out.put(numbers.back(), width);
    }
    const std::vector<std::uint8_t> bytes = out.finish();
    cabacus::BitReader in(bytes);
    for (int width = 0; width <= 53; ++width) CHECK_EQUAL(in.take(width), numbers[static_cast<std::size_t>(width)]);
    CHECK(in.finished());
}

TEST(bits_end_in_the_last_byte) {
    const std::vector<std::uint8_t> two{0xFF, 0x01};
    const auto ends_after = [&](int width) {
        cabacus::BitReader in(two);
        in.take(width);
        return in.finished();
    };
    CHECK(!ends_after(8));  // a byte is left
    CHECK(ends_after(9));
    CHECK(!(cabacus::BitReader(two).finished()));
    cabacus::BitReader beyond(two);
    CHECK_EQUAL(beyond.take(20), std::uint64_t{0x1FF});  // zeros follow
    CHECK(!beyond.finished());
    const std::vector<std::uint8_t> above{0xFF, 0x03};
    cabacus::BitReader in(above);
    in.take(9);
    CHECK(!in.finished());  // a bit is left that is not 0
    CHECK(cabacus::BitReader({}).finished());
}
