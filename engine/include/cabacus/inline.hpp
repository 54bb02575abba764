// Code that is written once and compiled for each processor: it must become part of the caller, whose target it takes on.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define CABACUS_INLINE [[gnu::always_inline]] inline
#define CABACUS_INLINE_LAMBDA __attribute__((always_inline))  // behind its parameters
#else
#define CABACUS_INLINE inline
#define CABACUS_INLINE_LAMBDA
#endif
