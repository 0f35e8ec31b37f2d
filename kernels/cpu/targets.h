// Which Highway targets every per-ISA file of kernels/cpu is compiled for: one name of isa.h each.
// Include before hwy/highway.h or hwy/foreach_target.h.
#pragma once

// SSSE3, SSE4 and the AVX-512 extensions add nothing to fp32 multiply-add code; each costs a compilation.
// Sanitized builds leave AVX-512 out: it is the same source again, and compiles slowest.
#if defined(UPS_SANITIZED)
#define UPS_LEFT_OUT HWY_AVX3
#else
#define UPS_LEFT_OUT 0
#endif
#define HWY_DISABLED_TARGETS \
  (UPS_LEFT_OUT | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
