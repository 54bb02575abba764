// The lane coder on NEON (AArch64 Advanced SIMD): four lanes a vector.
#pragma once

#include "cabacus/lanes/target.hpp"

#if CABACUS_NEON_LANES

#include "cabacus/lanes/vector_support.hpp"

#include <arm_neon.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace cabacus::neon {

// By the mask of some lanes, how bytes move. A look-up gives zero, or what was there, for the index kNoByte.
struct LaneMoves {
    static constexpr std::uint8_t kNoByte = 0xFF;
    template <std::size_t size> using Bytes = std::array<std::array<std::uint8_t, size>, 16>;

    alignas(16) Bytes<16> words{};    // words that follow, to their lanes
    alignas(16) Bytes<32> packing{};  // lanes to the front, then lane 0; begin k lanes earlier to leave k in place
    alignas(16) Bytes<16> unpacking{};
    Bytes<8> upper{};  // upper words of lanes, to the front
    Bytes<4> lanes{};  // the lanes, in order
    std::array<std::uint8_t, 16> count{};

    constexpr LaneMoves() {
        for (std::size_t mask = 0; mask < 16; ++mask) {
            words[mask].fill(kNoByte);
            unpacking[mask].fill(kNoByte);
            upper[mask].fill(kNoByte);
            for (std::size_t i = 0; i < 32; ++i) packing[mask][i] = static_cast<std::uint8_t>(i < 16 ? kNoByte : i % 4);
            std::uint8_t next = 0;
            for (std::uint8_t lane = 0; lane < 4; ++lane) {
                if ((mask >> lane & 1) == 0) continue;
                for (std::uint8_t byte = 0; byte < 4; ++byte) {
                    packing[mask][16u + 4u * next + byte] = static_cast<std::uint8_t>(4 * lane + byte);
                    unpacking[mask][4u * lane + byte] = static_cast<std::uint8_t>(4 * next + byte);
                }
                for (std::uint8_t byte = 0; byte < 2; ++byte) {
                    words[mask][4u * lane + byte] = static_cast<std::uint8_t>(2 * next + byte);
                    upper[mask][2u * next + byte] = static_cast<std::uint8_t>(4 * lane + 2 + byte);
                }
                lanes[mask][next++] = lane;
            }
            count[mask] = next;
        }
    }
};
inline constexpr LaneMoves kLaneMoves;

struct Vector {
    static constexpr int kLanes = 4;
    using Value = uint32x4_t;
    using Mask = uint32x4_t;  // all bits of a lane, or none

    static Value set(std::int32_t value) { return vdupq_n_u32(static_cast<std::uint32_t>(value)); }
    static Value load(const void* from) { return vld1q_u32(static_cast<const std::uint32_t*>(from)); }
    static void store(void* to, Value value) { vst1q_u32(static_cast<std::uint32_t*>(to), value); }
    static Value add(Value a, Value b) { return vaddq_u32(a, b); }
    static Value sub(Value a, Value b) { return vsubq_u32(a, b); }
    static Value min(Value a, Value b) { return of_signed(vminq_s32(as_signed(a), as_signed(b))); }
    static Value max(Value a, Value b) { return of_signed(vmaxq_s32(as_signed(a), as_signed(b))); }
    static Value bit_or(Value a, Value b) { return vorrq_u32(a, b); }
    static Value bit_and(Value a, Value b) { return vandq_u32(a, b); }
    template <int n> static Value left(Value a) { return vshlq_n_u32(a, n); }
    template <int n> static Value right(Value a) { return vshrq_n_u32(a, n); }
    template <int n> static Value arithmetic_right(Value a) { return of_signed(vshrq_n_s32(as_signed(a), n)); }
    static Value right(Value a, Value n) { return vshlq_u32(a, vnegq_s32(as_signed(n))); }
    static Value arithmetic_right(Value a, int n) { return of_signed(vshlq_s32(as_signed(a), vdupq_n_s32(-n))); }
    static Value float_bits(Value a) { return vreinterpretq_u32_f32(vcvtq_f32_s32(as_signed(a))); }
    static Value lookup(const std::uint32_t* table, Value index) {
        const uint8x16x4_t bytes = {{row(table, 0), row(table, 4), row(table, 8), row(table, 12)}};
        const Value places = vmlaq_u32(vdupq_n_u32(0x03020100), index, vdupq_n_u32(0x04040404));
        return of_bytes(vqtbl4q_u8(bytes, as_bytes(places)));
    }

    static Mask none() { return vdupq_n_u32(0); }
    static Mask first(int count) { return greater(set(count), Value{0, 1, 2, 3}); }
    static Mask greater(Value a, Value b) { return vcgtq_s32(as_signed(a), as_signed(b)); }
    static Mask both(Mask a, Mask b) { return vandq_u32(a, b); }
    static Mask either(Mask a, Mask b) { return vorrq_u32(a, b); }
    static bool any(Mask mask) { return vmaxvq_u32(mask) != 0; }
    static std::uint64_t bits(Mask mask) { return vaddvq_u32(vandq_u32(mask, Value{1, 2, 4, 8})); }
    static Value blend(Value otherwise, Value where, Mask mask) { return vbslq_u32(mask, where, otherwise); }
    static Value count(Value a, Mask mask) { return vsubq_u32(a, mask); }
    static Value negate(Value a, Mask mask) { return vsubq_u32(veorq_u32(a, mask), mask); }
    static Value keep(Value a, Mask mask) { return vandq_u32(a, mask); }

    static std::int32_t sum(Value a) { return vaddvq_s32(as_signed(a)); }
    static void store_bytes(std::uint8_t* to, Value a) {
        const uint16x4_t halves = vmovn_u32(a);
        const uint8x8_t bytes = vmovn_u16(vcombine_u16(halves, halves));
        const std::uint32_t all = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
        __builtin_memcpy(to, &all, sizeof all);
    }

    // Turns four rows of four numbers into columns.
    CABACUS_INLINE static void transpose(const std::int32_t* from, std::size_t from_width, std::int32_t* to, std::size_t to_width) {
        const int32x4_t a = vld1q_s32(from);
        const int32x4_t b = vld1q_s32(from + from_width);
        const int32x4_t c = vld1q_s32(from + 2 * from_width);
        const int32x4_t d = vld1q_s32(from + 3 * from_width);
        const int64x2_t even_ab = vreinterpretq_s64_s32(vtrn1q_s32(a, b));  // numbers 0 and 2 of both
        const int64x2_t odd_ab = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
        const int64x2_t even_cd = vreinterpretq_s64_s32(vtrn1q_s32(c, d));
        const int64x2_t odd_cd = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
        vst1q_s32(to, vreinterpretq_s32_s64(vtrn1q_s64(even_ab, even_cd)));
        vst1q_s32(to + to_width, vreinterpretq_s32_s64(vtrn1q_s64(odd_ab, odd_cd)));
        vst1q_s32(to + 2 * to_width, vreinterpretq_s32_s64(vtrn2q_s64(even_ab, even_cd)));
        vst1q_s32(to + 3 * to_width, vreinterpretq_s32_s64(vtrn2q_s64(odd_ab, odd_cd)));
    }

    // How many lanes of some vectors are in their masks.
    CABACUS_INLINE static int count_lanes(const Mask* masks, int vectors) {
        Value all = none();
        for (int v = 0; v < vectors; ++v) all = count(all, masks[v]);
        return sum(all);
    }

    // Brings the lanes of some masks, four at most, together into one vector, in order.
    template <int n>
    class Packing {
      public:
        CABACUS_INLINE explicit Packing(const Mask* lanes) {
            for (int v = 0; v < n; ++v) {
                const auto mask = static_cast<std::size_t>(bits(lanes[v]));
                from_[v] = vld1q_u8(kLaneMoves.packing[mask].data() + 16 - 4 * count_);
                // Saturating: what is kNoByte stays so.
                to_[v] = vqaddq_u8(vld1q_u8(kLaneMoves.unpacking[mask].data()), vdupq_n_u8(static_cast<std::uint8_t>(4 * count_)));
                count_ += kLaneMoves.count[mask];
            }
        }
        int count() const { return count_; }
        // Lanes beyond the count hold a copy of some lane: a range of zero would take words.
        CABACUS_INLINE Value take(const Value* from) const {
            uint8x16_t packed = vdupq_n_u8(0);
            for (int v = 0; v < n; ++v) packed = vqtbx1q_u8(packed, as_bytes(from[v]), from_[v]);
            return of_bytes(packed);
        }
        CABACUS_INLINE void put_back(Value* to, Value packed) const {
            for (int v = 0; v < n; ++v) to[v] = of_bytes(vqtbx1q_u8(as_bytes(to[v]), as_bytes(packed), to_[v]));
        }

      private:
        uint8x16_t from_[n];
        uint8x16_t to_[n];
        int count_ = 0;
    };

    // Decodes a bin in the lanes of `active`; lanes with a short range take their word. Returns the lanes that read a 1.
    CABACUS_INLINE static Mask decode(Value& range, Value& code, Value probability, Mask active, const std::uint8_t*& words) {
        const Value bound = vmulq_u32(vshrq_n_u32(range, 12), probability);
        const Mask zero = vcgeq_u32(code, bound);
        code = vsubq_u32(code, vandq_u32(bound, vandq_u32(zero, active)));
        range = blend(range, blend(bound, vsubq_u32(range, bound), zero), active);
        const Mask need = vcltq_u32(range, vdupq_n_u32(1 << 16));
        const auto mask = static_cast<std::size_t>(bits(need));
        const uint8x16_t next = vcombine_u8(vld1_u8(words), vdup_n_u8(0));
        const Value word = of_bytes(vqtbl1q_u8(next, vld1q_u8(kLaneMoves.words[mask].data())));
        code = blend(code, vsliq_n_u32(word, code, 16), need);
        range = blend(range, vshlq_n_u32(range, 16), need);
        words += std::size_t{2} * kLaneMoves.count[mask];
        return vbicq_u32(active, zero);
    }

    // Narrows the intervals of `active` lanes to that of their bin. Returns the lanes whose low end ran over, as bits.
    CABACUS_INLINE static std::uint64_t encode(Value& range, Value& low, Value probability, Mask active, Mask one) {
        const Value bound = vmulq_u32(vshrq_n_u32(range, 12), probability);
        const Value raised = vandq_u32(bound, vbicq_u32(active, one));
        low = vaddq_u32(low, raised);
        range = blend(range, blend(vsubq_u32(range, bound), bound, one), active);
        return bits(vcltq_u32(low, raised));
    }

    // Writes the upper words of lanes whose range has become short, and those lanes. Returns how many.
    CABACUS_INLINE static int take_words(Value& range, Value& low, std::uint16_t* words, std::uint8_t* lanes, int first_lane) {
        const Mask need = vcltq_u32(range, vdupq_n_u32(1 << 16));
        const auto mask = static_cast<std::size_t>(bits(need));
        const uint8x8_t upper = vqtbl1_u8(as_bytes(low), vld1_u8(kLaneMoves.upper[mask].data()));
        vst1_u16(words, vreinterpret_u16_u8(upper));
        std::uint32_t order;
        __builtin_memcpy(&order, kLaneMoves.lanes[mask].data(), sizeof order);
        order += static_cast<std::uint32_t>(first_lane) * 0x01010101u;
        __builtin_memcpy(lanes, &order, sizeof order);
        low = blend(low, vshlq_n_u32(low, 16), need);
        range = blend(range, vshlq_n_u32(range, 16), need);
        return kLaneMoves.count[mask];
    }

  private:
    static int32x4_t as_signed(Value a) { return vreinterpretq_s32_u32(a); }
    static Value of_signed(int32x4_t a) { return vreinterpretq_u32_s32(a); }
    static uint8x16_t as_bytes(Value a) { return vreinterpretq_u8_u32(a); }
    static Value of_bytes(uint8x16_t a) { return vreinterpretq_u32_u8(a); }
    static uint8x16_t row(const std::uint32_t* table, std::size_t at) { return as_bytes(vld1q_u32(table + at)); }
};

#include "cabacus/lanes/vector_steps.inc"

}  // namespace cabacus::neon

#endif  // CABACUS_NEON_LANES
