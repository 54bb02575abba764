// The lane coder on AVX-512 (F, BW, DQ, VL): sixteen lanes a vector.
#pragma once

#include "cabacus/lanes/target.hpp"

#if CABACUS_X86_LANES

#include "cabacus/lanes/vector_support.hpp"

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

CABACUS_BEGIN_AVX512

namespace cabacus::avx512 {

struct Vector {
    static constexpr int kLanes = 16;
    using Value = __m512i;
    using Mask = __mmask16;

    static Value set(std::int32_t value) { return _mm512_set1_epi32(value); }
    static Value load(const void* from) { return _mm512_load_si512(from); }
    static void store(void* to, Value value) { _mm512_store_si512(to, value); }
    static Value add(Value a, Value b) { return _mm512_add_epi32(a, b); }
    static Value sub(Value a, Value b) { return _mm512_sub_epi32(a, b); }
    static Value min(Value a, Value b) { return _mm512_min_epi32(a, b); }
    static Value max(Value a, Value b) { return _mm512_max_epi32(a, b); }
    static Value bit_or(Value a, Value b) { return _mm512_or_si512(a, b); }
    static Value bit_and(Value a, Value b) { return _mm512_and_si512(a, b); }
    template <int n> static Value left(Value a) { return _mm512_slli_epi32(a, n); }
    template <int n> static Value right(Value a) { return _mm512_srli_epi32(a, n); }
    template <int n> static Value arithmetic_right(Value a) { return _mm512_srai_epi32(a, n); }
    static Value right(Value a, Value n) { return _mm512_srlv_epi32(a, n); }
    static Value arithmetic_right(Value a, int n) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128(n)); }
    static Value float_bits(Value a) { return _mm512_castps_si512(_mm512_cvtepi32_ps(a)); }
    static Value lookup(const std::uint32_t* table, Value index) { return _mm512_permutexvar_epi32(index, load(table)); }

    static Mask none() { return 0; }
    static Mask first(int count) { return static_cast<Mask>(count >= kLanes ? 0xFFFFu : count <= 0 ? 0u : (1u << count) - 1); }
    static Mask greater(Value a, Value b) { return _mm512_cmpgt_epi32_mask(a, b); }
    static Mask both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
    static Mask either(Mask a, Mask b) { return static_cast<Mask>(a | b); }
    static bool any(Mask mask) { return mask != 0; }
    static std::uint64_t bits(Mask mask) { return mask; }
    static Value blend(Value otherwise, Value where, Mask mask) { return _mm512_mask_mov_epi32(otherwise, mask, where); }
    static Value count(Value a, Mask mask) { return _mm512_mask_add_epi32(a, mask, a, _mm512_set1_epi32(1)); }
    static Value negate(Value a, Mask mask) { return _mm512_mask_sub_epi32(a, mask, _mm512_setzero_si512(), a); }
    static Value keep(Value a, Mask mask) { return _mm512_maskz_mov_epi32(mask, a); }

    static std::int32_t sum(Value a) { return _mm512_reduce_add_epi32(a); }
    static void store_bytes(std::uint8_t* to, Value a) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(a));
    }

    // Turns sixteen rows of sixteen numbers into columns: within the quarters of the rows, then the quarters.
    CABACUS_INLINE static void transpose(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width) {
        __m512i pairs[16];
        __m512i fours[16];
        for (std::size_t i = 0; i < 16; i += 2) {
            const __m512i a = _mm512_loadu_si512(from + i * from_width);
            const __m512i b = _mm512_loadu_si512(from + (i + 1) * from_width);
            pairs[i] = _mm512_unpacklo_epi32(a, b);
            pairs[i + 1] = _mm512_unpackhi_epi32(a, b);
        }
        for (std::size_t i = 0; i < 16; i += 4) {
            fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
        }
        for (std::size_t i = 0; i < 4; ++i) {  // fours[i + 4 r] holds, in quarter q, numbers 4 q + i of rows 4 r to 4 r + 3
            const __m512i low01 = _mm512_shuffle_i32x4(fours[i], fours[i + 4], 0x88);
            const __m512i high01 = _mm512_shuffle_i32x4(fours[i], fours[i + 4], 0xDD);
            const __m512i low23 = _mm512_shuffle_i32x4(fours[i + 8], fours[i + 12], 0x88);
            const __m512i high23 = _mm512_shuffle_i32x4(fours[i + 8], fours[i + 12], 0xDD);
            _mm512_storeu_si512(to + i * to_width, _mm512_shuffle_i32x4(low01, low23, 0x88));
            _mm512_storeu_si512(to + (i + 4) * to_width, _mm512_shuffle_i32x4(high01, high23, 0x88));
            _mm512_storeu_si512(to + (i + 8) * to_width, _mm512_shuffle_i32x4(low01, low23, 0xDD));
            _mm512_storeu_si512(to + (i + 12) * to_width, _mm512_shuffle_i32x4(high01, high23, 0xDD));
        }
    }

    // How many lanes of some vectors are in their masks.
    CABACUS_INLINE static int count_lanes(const Mask* masks, int vectors) {
        std::uint64_t all = 0;
        for (int v = 0; v < vectors; ++v) all |= std::uint64_t{masks[v]} << (16 * v);
        return __builtin_popcountll(all);
    }

    // Brings the lanes of some masks, sixteen at most, together into one vector, in order.
    template <int n>
    class Packing {
      public:
        CABACUS_INLINE explicit Packing(const Mask* lanes) {
            const Value all = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            for (int v = 0; v < n; ++v) {
                lanes_[v] = lanes[v];
                place_[v] = static_cast<Mask>(0xFFFFu << count_);
                from_[v] = _mm512_maskz_expand_epi32(place_[v], _mm512_maskz_compress_epi32(lanes[v], all));
                to_[v] = _mm512_maskz_expand_epi32(lanes[v], _mm512_add_epi32(all, set(count_)));
                count_ += __builtin_popcount(lanes[v]);
            }
        }
        int count() const { return count_; }
        CABACUS_INLINE Value take(const Value* from) const {
            Value packed = _mm512_setzero_si512();
            for (int v = 0; v < n; ++v) packed = _mm512_mask_permutexvar_epi32(packed, place_[v], from_[v], from[v]);
            return packed;
        }
        CABACUS_INLINE void put_back(Value* to, Value packed) const {
            for (int v = 0; v < n; ++v) to[v] = _mm512_mask_permutexvar_epi32(to[v], lanes_[v], to_[v], packed);
        }

      private:
        Mask lanes_[n];
        Mask place_[n];
        Value from_[n];
        Value to_[n];
        int count_ = 0;
    };

    // Decodes a bin in the lanes of `active`; lanes with a short range take their word. Returns the lanes that read a 1.
    CABACUS_INLINE static Mask decode(Value& range, Value& code, Value probability, Mask active, const std::uint8_t*& words) {
        const __m512i bound = _mm512_mullo_epi32(_mm512_srli_epi32(range, 12), probability);
        const Mask one = _mm512_mask_cmplt_epu32_mask(active, code, bound);
        const auto zero = static_cast<Mask>(active & ~one);
        code = _mm512_mask_sub_epi32(code, zero, code, bound);
        range = _mm512_mask_sub_epi32(_mm512_mask_mov_epi32(range, one, bound), zero, range, bound);
        const Mask need = _mm512_cmplt_epu32_mask(range, _mm512_set1_epi32(1 << 16));
        const __m512i next = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
        const __m512i word = _mm512_maskz_expand_epi32(need, next);
        code = _mm512_mask_or_epi32(code, need, _mm512_slli_epi32(code, 16), word);
        range = _mm512_mask_slli_epi32(range, need, range, 16);
        words += 2 * static_cast<std::size_t>(__builtin_popcount(need));
        return one;
    }

    // Narrows the intervals of `active` lanes to that of their bin. Returns the lanes whose low end ran over, as bits.
    CABACUS_INLINE static std::uint64_t encode(Value& range, Value& low, Value probability, Mask active, Mask one) {
        const __m512i bound = _mm512_mullo_epi32(_mm512_srli_epi32(range, 12), probability);
        const auto zero = static_cast<Mask>(active & ~one);
        low = _mm512_mask_add_epi32(low, zero, low, bound);
        range = _mm512_mask_sub_epi32(_mm512_mask_mov_epi32(range, one, bound), zero, range, bound);
        return _mm512_mask_cmplt_epu32_mask(zero, low, bound);
    }

    // Writes the upper words of lanes whose range has become short, and those lanes. Returns how many.
    CABACUS_INLINE static int take_words(Value& range, Value& low, std::uint16_t* words, std::uint8_t* lanes, int first_lane) {
        const Mask need = _mm512_cmplt_epu32_mask(range, _mm512_set1_epi32(1 << 16));
        const __m512i upper = _mm512_maskz_compress_epi32(need, _mm512_srli_epi32(low, 16));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm512_cvtepi32_epi16(upper));
        const __m512i all = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i index = _mm512_maskz_compress_epi32(need, _mm512_add_epi32(all, _mm512_set1_epi32(first_lane)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), _mm512_cvtepi32_epi8(index));
        low = _mm512_mask_slli_epi32(low, need, low, 16);
        range = _mm512_mask_slli_epi32(range, need, range, 16);
        return __builtin_popcount(need);
    }
};

#include "cabacus/lanes/vector_steps.inc"

}  // namespace cabacus::avx512

CABACUS_END_TARGET

#endif  // CABACUS_X86_LANES
