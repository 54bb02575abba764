// Every piece is done once, on any number of threads; the first failure by piece is thrown on.
#include "cabacus/parallel.hpp"

#include "check.hpp"

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

TEST(parallel_every_piece_is_done_once) {
    for (const int threads : {-1, 0, 1, 2, 5}) {
        for (const std::size_t pieces : {0u, 1u, 3u, 100u}) {
            std::vector<std::atomic<int>> done(pieces);
            cabacus::for_each_piece(pieces, threads, [&](std::size_t piece) { ++done.at(piece); });
            for (const auto& times : done) CHECK_EQUAL(times.load(), 1);
        }
    }
}

TEST(parallel_the_first_failure_by_piece_is_thrown_on_when_all_have_ended) {
    for (const int threads : {1, 4}) {
        std::atomic<int> done = 0;
        try {
            cabacus::for_each_piece(20, threads, [&](std::size_t piece) {
                ++done;
                if (piece == 7 || piece == 3) throw std::runtime_error(std::to_string(piece));
            });
            CHECK(false);
        } catch (const std::runtime_error& error) {
            CHECK_EQUAL(std::string(error.what()), "3");
        }
        CHECK_EQUAL(done.load(), 20);
    }
}
