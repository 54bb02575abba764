// Code that is written once and compiled for each processor: it must become part of the caller, whose target it takes on.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define CABACUS_INLINE [[gnu::always_inline]] inline
#else
#define CABACUS_INLINE inline
#endif
