// The claims that are fuzzed. Each takes any bytes; it aborts where its claim does not hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace fuzz {

using Input = std::span<const std::uint8_t>;

void container(Input input);   // a header is read or refused; what is read is written and read again as it was
void slices(Input input);      // words are decoded or refused, by every form of the coder alike
void round_trip(Input input);  // levels and weights come back from every coding and shape
void exact(Input input);       // exact floats are decoded or refused; they come back bit by bit

inline void claim(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "FALSE: %s\n", what);
    std::abort();
}

}  // namespace fuzz

#define CLAIM(condition) fuzz::claim((condition), #condition)
