// Functions by the special function unit, where a division or expf would cost ten instructions.
#pragma once

#include "kernels/device/device.cuh"

namespace ups::cuda {

// 2^v to 2 units in the last place; 0 for very negative v.
__device__ __forceinline__ float exp2_fast(float v) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(v));
  return y;
#else
  return std::exp2(v);
#endif
}

// 1 / v to one unit in the last place.
__device__ __forceinline__ float reciprocal_fast(float v) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(v));
  return y;
#else
  return 1 / v;
#endif
}

// v * Phi(v) by erf (no tanh), off by at most 1e-7 |v|: erfc(z) = t (a1 + t (a2 + ..)) exp(-z^2), t = 1 / (1
// + p z), z >= 0 (Abramowitz and Stegun 7.1.26).
__device__ __forceinline__ float gelu_fast(float v) {
  const float z = fabsf(v) * 0.70710678f;
  const float t = reciprocal_fast(1 + 0.3275911f * z);
  float sum = 1.061405429f;
  sum = sum * t - 1.453152027f;
  sum = sum * t + 1.421413741f;
  sum = sum * t - 0.284496736f;
  sum = sum * t + 0.254829592f;
  const float tail = 0.5f * v * (sum * t * exp2_fast(-1.44269504f * z * z));  // v * Phi(-|v|)
  return v > 0 ? v - tail : tail;
}

}  // namespace ups::cuda
