// Which vector forms this compiler can make and this processor can run.
#pragma once

#include "cabacus/inline.hpp"

#include <array>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define CABACUS_X86_LANES 1
#else
#define CABACUS_X86_LANES 0
#endif

// NEON is the base of AArch64: nothing to ask at run time. Words and bytes are taken from vectors as little-endian.
#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__) && (defined(__GNUC__) || defined(__clang__))
#define CABACUS_NEON_LANES 1
#else
#define CABACUS_NEON_LANES 0
#endif

// Code between BEGIN and END is compiled for a processor with these features, whatever the compiler's own target is.
#if defined(__clang__)
#define CABACUS_PRAGMA(text) _Pragma(#text)
#define CABACUS_BEGIN_TARGET(features) \
    CABACUS_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define CABACUS_END_TARGET _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define CABACUS_PRAGMA(text) _Pragma(#text)
#define CABACUS_BEGIN_TARGET(features) _Pragma("GCC push_options") CABACUS_PRAGMA(GCC target features)
#define CABACUS_END_TARGET _Pragma("GCC pop_options")
#endif

#if CABACUS_X86_LANES
#if defined(__clang__)
#define CABACUS_BEGIN_AVX2 CABACUS_BEGIN_TARGET("avx2,popcnt,lzcnt,bmi,bmi2")
#define CABACUS_BEGIN_AVX512 CABACUS_BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,popcnt,lzcnt,bmi,bmi2")
#else
#define CABACUS_BEGIN_AVX2 CABACUS_BEGIN_TARGET(("avx2,popcnt,lzcnt,bmi,bmi2"))
#define CABACUS_BEGIN_AVX512 CABACUS_BEGIN_TARGET(("avx512f,avx512bw,avx512dq,avx512vl,avx2,popcnt,lzcnt,bmi,bmi2"))
#endif
#endif

namespace cabacus {

enum class Form { portable, avx2, avx512, neon };
inline constexpr std::array kForms{Form::portable, Form::avx2, Form::avx512, Form::neon};

inline Form widest_form() {
#if CABACUS_X86_LANES
    static const Form form = [] {
        __builtin_cpu_init();
        if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("popcnt")) return Form::portable;
        const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        return wide ? Form::avx512 : Form::avx2;
    }();
    return form;
#elif CABACUS_NEON_LANES
    return Form::neon;
#else
    return Form::portable;
#endif
}

// Whether this processor runs a form: the portable one, its widest, and what that one's features include.
inline bool runs(Form form) {
    const Form widest = widest_form();
    return form == Form::portable || form == widest || (form == Form::avx2 && widest == Form::avx512);
}

#if CABACUS_X86_LANES
CABACUS_BEGIN_AVX2
namespace avx2 {
template <class Work>
void run(const Work& work) {
    work();
}
}  // namespace avx2
CABACUS_END_TARGET

CABACUS_BEGIN_AVX512
namespace avx512 {
template <class Work>
void run(const Work& work) {
    work();
}
}  // namespace avx512
CABACUS_END_TARGET
#endif

// Runs `work`, a CABACUS_INLINE_LAMBDA of code that has no target of its own, as compiled for a form. NEON needs no other
// than the compiler's own.
template <class Work>
void in_form(Form form, const Work& work) {
#if CABACUS_X86_LANES
    if (form == Form::avx512) return avx512::run(work);
    if (form == Form::avx2) return avx2::run(work);
#endif
    static_cast<void>(form);
    work();
}

}  // namespace cabacus
