// What the four lanes that share a row of a tensor core's result exchange.
#pragma once

#include "kernels/device/reduce.cuh"

namespace ups::cuda {

// Each of the four gets the result.
__device__ __forceinline__ float quad_sum(float v) {
  v += shuffle_xor(v, 1);
  return v + shuffle_xor(v, 2);
}
__device__ __forceinline__ float quad_max(float v) {
  v = fmaxf(v, shuffle_xor(v, 1));
  return fmaxf(v, shuffle_xor(v, 2));
}

// words[j] holds channels 8 j + 2 q, +1 of one pixel in lane q of four. Afterwards lane q has channels 8 q ..
// +7.
__device__ __forceinline__ Vec16 transpose_quad(const uint32_t (&words)[4]) {
  const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
  uint32_t lo[2], hi[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const uint32_t got = shuffle_xor(odd ? words[2 * i] : words[2 * i + 1], 1);
    const uint32_t kept = odd ? words[2 * i + 1] : words[2 * i];
    lo[i] = odd ? got : kept, hi[i] = odd ? kept : got;
  }
  const uint32_t got_lo = shuffle_xor(upper ? lo[0] : lo[1], 2),
                 got_hi = shuffle_xor(upper ? hi[0] : hi[1], 2);
  return upper ? Vec16{{got_lo, got_hi, lo[1], hi[1]}} : Vec16{{lo[0], hi[0], got_lo, got_hi}};
}

}  // namespace ups::cuda
