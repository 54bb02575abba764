// Decodes a slice by the widest form that has lanes of its size and that this processor runs: the same levels from each.
#pragma once

#include "cabacus/lanes/avx2.hpp"
#include "cabacus/lanes/avx512.hpp"
#include "cabacus/lanes/neon.hpp"
#include "cabacus/lanes/target.hpp"
#include "cabacus/level_decoder.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#if CABACUS_X86_LANES

CABACUS_BEGIN_AVX2
namespace cabacus::avx2 {
#include "cabacus/lanes/vector_decoder.inc"
}  // namespace cabacus::avx2
CABACUS_END_TARGET

CABACUS_BEGIN_AVX512
namespace cabacus::avx512 {
#include "cabacus/lanes/vector_decoder.inc"
}  // namespace cabacus::avx512
CABACUS_END_TARGET

#endif  // CABACUS_X86_LANES

#if CABACUS_NEON_LANES
namespace cabacus::neon {
#include "cabacus/lanes/vector_decoder.inc"
}  // namespace cabacus::neon
#endif  // CABACUS_NEON_LANES

namespace cabacus {

inline void decode_slice(const SliceGeometry& geometry, const LevelCoding& coding, std::span<const std::uint8_t> words,
                         std::int32_t* levels, Form form = widest_form()) {
    check_words(words);
#if CABACUS_X86_LANES
    if (form == Form::avx512) {
        switch (geometry.lanes) {
            case 64: return avx512::Decoder<4>(geometry, coding, words, levels).run();
            case 32: return avx512::Decoder<2>(geometry, coding, words, levels).run();
            case 16: return avx512::Decoder<1>(geometry, coding, words, levels).run();
            default: break;
        }
    }
    if (form == Form::avx512 || form == Form::avx2) {
        switch (geometry.lanes) {
            case 64: return avx2::Decoder<8>(geometry, coding, words, levels).run();
            case 32: return avx2::Decoder<4>(geometry, coding, words, levels).run();
            case 16: return avx2::Decoder<2>(geometry, coding, words, levels).run();
            case 8: return avx2::Decoder<1>(geometry, coding, words, levels).run();
            default: break;
        }
    }
#elif CABACUS_NEON_LANES
    if (form == Form::neon) {
        switch (geometry.lanes) {
            case 64: return neon::Decoder<16>(geometry, coding, words, levels).run();
            case 32: return neon::Decoder<8>(geometry, coding, words, levels).run();
            case 16: return neon::Decoder<4>(geometry, coding, words, levels).run();
            case 8: return neon::Decoder<2>(geometry, coding, words, levels).run();
            case 4: return neon::Decoder<1>(geometry, coding, words, levels).run();
            default: break;
        }
    }
#endif
    static_cast<void>(form);
    LevelDecoder(geometry, coding, words, levels).run();
}

}  // namespace cabacus
