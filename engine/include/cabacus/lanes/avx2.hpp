// The lane coder on AVX2: eight lanes a vector.
#pragma once

#include "cabacus/lanes/target.hpp"

#if CABACUS_X86_LANES

#include "cabacus/lanes/vector_support.hpp"

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus::avx2 {

// Where the words that follow go: by the mask of the lanes that need one, the index of the word for each lane.
struct WordOrder {
    std::array<std::array<std::uint8_t, 8>, 256> index{};

    constexpr WordOrder() {
        for (std::size_t mask = 0; mask < 256; ++mask) {
            std::uint8_t next = 0;
            for (std::size_t lane = 0; lane < 8; ++lane) {
                if ((mask >> lane & 1) != 0) index[mask][lane] = next++;
            }
        }
    }
};
inline constexpr WordOrder kWordOrder;

// The lanes of a mask, in order.
struct LaneOrder {
    std::array<std::array<std::uint8_t, 8>, 256> lane{};

    constexpr LaneOrder() {
        for (std::size_t mask = 0; mask < 256; ++mask) {
            std::size_t next = 0;
            for (std::uint8_t bit = 0; bit < 8; ++bit) {
                if ((mask >> bit & 1) != 0) lane[mask][next++] = bit;
            }
        }
    }
};
inline constexpr LaneOrder kLaneOrder;

}  // namespace cabacus::avx2

CABACUS_BEGIN_AVX2

namespace cabacus::avx2 {

struct Vector {
    static constexpr int kLanes = 8;
    using Value = __m256i;
    using Mask = __m256i;  // all bits of a lane, or none

    static Value set(std::int32_t value) { return _mm256_set1_epi32(value); }
    static Value load(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }
    static void store(void* to, Value value) { _mm256_store_si256(static_cast<__m256i*>(to), value); }
    static Value add(Value a, Value b) { return _mm256_add_epi32(a, b); }
    static Value sub(Value a, Value b) { return _mm256_sub_epi32(a, b); }
    static Value min(Value a, Value b) { return _mm256_min_epi32(a, b); }
    static Value max(Value a, Value b) { return _mm256_max_epi32(a, b); }
    static Value bit_or(Value a, Value b) { return _mm256_or_si256(a, b); }
    static Value bit_and(Value a, Value b) { return _mm256_and_si256(a, b); }
    template <int n> static Value left(Value a) { return _mm256_slli_epi32(a, n); }
    template <int n> static Value right(Value a) { return _mm256_srli_epi32(a, n); }
    template <int n> static Value arithmetic_right(Value a) { return _mm256_srai_epi32(a, n); }
    static Value right(Value a, Value n) { return _mm256_srlv_epi32(a, n); }
    static Value arithmetic_right(Value a, int n) { return _mm256_sra_epi32(a, _mm_cvtsi32_si128(n)); }
    static Value float_bits(Value a) { return _mm256_castps_si256(_mm256_cvtepi32_ps(a)); }
    static Value lookup(const std::uint32_t* table, Value index) {
        const __m256i low = _mm256_permutevar8x32_epi32(load(table), index);
        const __m256i high = _mm256_permutevar8x32_epi32(load(table + 8), index);
        return blend(low, high, _mm256_slli_epi32(index, 28));
    }

    static Mask none() { return _mm256_setzero_si256(); }
    static Mask first(int count) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    static Mask greater(Value a, Value b) { return _mm256_cmpgt_epi32(a, b); }
    static Mask both(Mask a, Mask b) { return _mm256_and_si256(a, b); }
    static Mask either(Mask a, Mask b) { return _mm256_or_si256(a, b); }
    static bool any(Mask mask) { return !_mm256_testz_si256(mask, mask); }
    static std::uint64_t bits(Mask mask) {
        return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
    }
    // Takes the sign bit of every lane of `mask`.
    static Value blend(Value otherwise, Value where, Mask mask) {
        return _mm256_castps_si256(
            _mm256_blendv_ps(_mm256_castsi256_ps(otherwise), _mm256_castsi256_ps(where), _mm256_castsi256_ps(mask)));
    }
    static Value count(Value a, Mask mask) { return _mm256_sub_epi32(a, mask); }
    static Value negate(Value a, Mask mask) { return _mm256_sub_epi32(_mm256_xor_si256(a, mask), mask); }
    static Value keep(Value a, Mask mask) { return _mm256_and_si256(a, mask); }

    static std::int32_t sum(Value a) {
        const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        const __m128i quarter = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
        return _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0xB1)));
    }
    static void store_bytes(std::uint8_t* to, Value a) {
        const __m256i packed = _mm256_shuffle_epi8(
            a, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1,
                                -1, -1, -1, -1, -1, -1, -1, -1));
        const auto low = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm256_castsi256_si128(packed)));
        const auto high = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm256_extracti128_si256(packed, 1)));
        const std::uint64_t both = low | static_cast<std::uint64_t>(high) << 32;
        __builtin_memcpy(to, &both, sizeof both);
    }

    // Turns eight rows of eight numbers into columns.
    CABACUS_INLINE static void transpose(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width) {
        __m256i pairs[8];
        __m256i fours[8];
        for (std::size_t i = 0; i < 8; i += 2) {
            const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i * from_width));
            const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + (i + 1) * from_width));
            pairs[i] = _mm256_unpacklo_epi32(a, b);
            pairs[i + 1] = _mm256_unpackhi_epi32(a, b);
        }
        for (std::size_t i = 0; i < 8; i += 4) {
            fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            const auto put = [&](std::size_t row, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + row * to_width), value); };
            put(i, _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20));
            put(i + 4, _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31));
        }
    }

    // How many lanes of some vectors are in their masks.
    CABACUS_INLINE static int count_lanes(const Mask* masks, int vectors) {
        std::uint64_t all = 0;
        for (int v = 0; v < vectors; ++v) all |= bits(masks[v]) << (8 * v);
        return static_cast<int>(__builtin_popcountll(all));
    }

    // Brings the lanes of some masks, eight at most, together into one vector, in order.
    template <int n>
    class Packing {
      public:
        CABACUS_INLINE explicit Packing(const Mask* lanes) {
            const Value all = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            for (int v = 0; v < n; ++v) {
                lanes_[v] = lanes[v];
                const auto mask = static_cast<std::size_t>(bits(lanes[v]));
                std::uint64_t order;
                __builtin_memcpy(&order, kLaneOrder.lane[mask].data(), sizeof order);
                place_[v] = greater(all, set(count_ - 1));  // none from the eighth on
                from_[v] = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(order << (8 * (count_ & 7)))));
                to_[v] = add(set(count_), _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kWordOrder.index[mask].data()))));
                count_ += __builtin_popcount(static_cast<unsigned>(mask));
            }
        }
        int count() const { return count_; }
        CABACUS_INLINE Value take(const Value* from) const {
            Value packed = _mm256_setzero_si256();
            for (int v = 0; v < n; ++v) packed = blend(packed, _mm256_permutevar8x32_epi32(from[v], from_[v]), place_[v]);
            return packed;
        }
        CABACUS_INLINE void put_back(Value* to, Value packed) const {
            for (int v = 0; v < n; ++v) to[v] = blend(to[v], _mm256_permutevar8x32_epi32(packed, to_[v]), lanes_[v]);
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
        const __m256i bound = _mm256_mullo_epi32(_mm256_srli_epi32(range, 12), probability);
        const __m256i less = _mm256_sub_epi32(code, bound);
        // code >= bound: the difference does not wrap, so that it is the smaller one.
        const __m256i zero = _mm256_cmpeq_epi32(_mm256_min_epu32(code, less), less);
        code = blend(code, less, _mm256_and_si256(zero, active));
        range = blend(range, blend(bound, _mm256_sub_epi32(range, bound), zero), active);
        const __m256i need = _mm256_cmpeq_epi32(_mm256_srli_epi32(range, 16), _mm256_setzero_si256());
        const auto lanes = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(need)));
        const __m256i next = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)));
        const __m256i order = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kWordOrder.index[lanes].data())));
        const __m256i word = _mm256_permutevar8x32_epi32(next, order);
        code = blend(code, _mm256_or_si256(_mm256_slli_epi32(code, 16), word), need);
        range = blend(range, _mm256_slli_epi32(range, 16), need);
        words += 2 * static_cast<std::size_t>(__builtin_popcount(lanes));
        return _mm256_andnot_si256(zero, active);
    }

    // Narrows the intervals of `active` lanes to that of their bin. Returns the lanes whose low end ran over, as bits.
    CABACUS_INLINE static std::uint64_t encode(Value& range, Value& low, Value probability, Mask active, Mask one) {
        const __m256i bound = _mm256_mullo_epi32(_mm256_srli_epi32(range, 12), probability);
        const __m256i raised = _mm256_and_si256(bound, _mm256_andnot_si256(one, active));
        low = _mm256_add_epi32(low, raised);
        range = blend(range, blend(_mm256_sub_epi32(range, bound), bound, one), active);
        const __m256i at_most = _mm256_cmpeq_epi32(_mm256_min_epu32(low, raised), low);
        return bits(_mm256_andnot_si256(_mm256_cmpeq_epi32(low, raised), at_most));
    }

    // Writes the upper words of lanes whose range has become short, and those lanes. Returns how many.
    CABACUS_INLINE static int take_words(Value& range, Value& low, std::uint16_t* words, std::uint8_t* lanes, int first_lane) {
        const __m256i need = _mm256_cmpeq_epi32(_mm256_srli_epi32(range, 16), _mm256_setzero_si256());
        const auto mask = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(need)));
        std::uint64_t order;
        __builtin_memcpy(&order, kLaneOrder.lane[mask].data(), sizeof order);
        const __m256i index = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(order)));
        const __m256i upper = _mm256_permutevar8x32_epi32(_mm256_srli_epi32(low, 16), index);
        const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(words), packed);
        order += static_cast<std::uint64_t>(first_lane) * 0x0101010101010101u;
        __builtin_memcpy(lanes, &order, sizeof order);
        low = blend(low, _mm256_slli_epi32(low, 16), need);
        range = blend(range, _mm256_slli_epi32(range, 16), need);
        return __builtin_popcount(mask);
    }
};

#include "cabacus/lanes/vector_steps.inc"

}  // namespace cabacus::avx2

CABACUS_END_TARGET

#endif  // CABACUS_X86_LANES
