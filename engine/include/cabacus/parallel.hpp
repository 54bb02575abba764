// Runs independent pieces of work on a few threads. The first exception, by piece, is thrown on after all have ended.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace cabacus {

// `work(piece)` for every piece in [0, pieces), each once, in any order.
template <class Work>
void for_each_piece(std::size_t pieces, int threads, const Work& work) {
    std::atomic<std::size_t> next{0};
    std::vector<std::exception_ptr> failures(pieces);
    const auto run = [&] {
        for (std::size_t piece = next++; piece < pieces; piece = next++) {
            try {
                work(piece);
            } catch (...) {
                failures[piece] = std::current_exception();
            }
        }
    };
    const std::size_t wanted = std::min(pieces, static_cast<std::size_t>(std::max(threads, 1)));
    std::vector<std::thread> helpers;
    for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(run);
    run();
    for (std::thread& helper : helpers) helper.join();
    for (const std::exception_ptr& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
}

}  // namespace cabacus
