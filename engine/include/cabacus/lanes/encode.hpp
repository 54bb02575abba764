// Codes known levels of a slice by the widest form that this processor runs: the same bytes from each.
#pragma once

#include "cabacus/lanes/avx2.hpp"
#include "cabacus/lanes/avx512.hpp"
#include "cabacus/lanes/neon.hpp"
#include "cabacus/lanes/target.hpp"
#include "cabacus/level_encoder.hpp"
#include "cabacus/word_log.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#if CABACUS_X86_LANES

CABACUS_BEGIN_AVX2
namespace cabacus::avx2 {
#include "cabacus/lanes/vector_encoder.inc"
}  // namespace cabacus::avx2
CABACUS_END_TARGET

CABACUS_BEGIN_AVX512
namespace cabacus::avx512 {
#include "cabacus/lanes/vector_encoder.inc"
}  // namespace cabacus::avx512
CABACUS_END_TARGET

#endif  // CABACUS_X86_LANES

#if CABACUS_NEON_LANES
namespace cabacus::neon {
#include "cabacus/lanes/vector_encoder.inc"
}  // namespace cabacus::neon
#endif  // CABACUS_NEON_LANES

namespace cabacus {

// `levels`: geometry.weights of them, in scan order, none beyond the binarization's largest. Gives the slice's words.
inline std::vector<std::uint8_t> encode_slice(const SliceGeometry& geometry, const LevelCoding& coding,
                                              const std::int32_t* levels, Form form = widest_form()) {
    std::vector<std::uint8_t> out;
#if CABACUS_X86_LANES
    if (form == Form::avx512) {
        switch (geometry.lanes) {
            case 64: return avx512::Encoder<4>(geometry, coding, levels).run(out), out;
            case 32: return avx512::Encoder<2>(geometry, coding, levels).run(out), out;
            case 16: return avx512::Encoder<1>(geometry, coding, levels).run(out), out;
            default: break;
        }
    }
    if (form == Form::avx512 || form == Form::avx2) {
        switch (geometry.lanes) {
            case 64: return avx2::Encoder<8>(geometry, coding, levels).run(out), out;
            case 32: return avx2::Encoder<4>(geometry, coding, levels).run(out), out;
            case 16: return avx2::Encoder<2>(geometry, coding, levels).run(out), out;
            case 8: return avx2::Encoder<1>(geometry, coding, levels).run(out), out;
            default: break;
        }
    }
#elif CABACUS_NEON_LANES
    if (form == Form::neon) {
        switch (geometry.lanes) {
            case 64: return neon::Encoder<16>(geometry, coding, levels).run(out), out;
            case 32: return neon::Encoder<8>(geometry, coding, levels).run(out), out;
            case 16: return neon::Encoder<4>(geometry, coding, levels).run(out), out;
            case 8: return neon::Encoder<2>(geometry, coding, levels).run(out), out;
            case 4: return neon::Encoder<1>(geometry, coding, levels).run(out), out;
            default: break;
        }
    }
#endif
    static_cast<void>(form);
    encode_portable(geometry, coding, levels, out);
    return out;
}

}  // namespace cabacus
