// Shuffles and reductions within a warp.
#pragma once

#include "kernels/device/device.cuh"

namespace ups::cuda {

// The value of the lane whose index differs by the bits of `mask`. All 32 lanes take part. T: float,
// uint32_t.
template <class T>
__device__ __forceinline__ T shuffle_xor(T v, int mask) {
#if defined(__CUDA_ARCH__)
  return __shfl_xor_sync(0xffffffffu, v, mask);
#elif !defined(__CUDACC__)
  struct Lane {
    T in, *out;
    int mask;
  };
  T out = 0;
  simt::meet<32>("shuffle_xor", Lane{v, &out, mask}, [](Lane** lanes) {
    for (int i = 0; i < 32; i++) *lanes[i]->out = lanes[i ^ lanes[i]->mask]->in;
  });
  return out;
#else
  return v;
#endif
}

// Every lane gets the result.
__device__ __forceinline__ float warp_sum(float v) {
  for (int mask = 16; mask; mask >>= 1) v += shuffle_xor(v, mask);
  return v;
}
__device__ __forceinline__ float warp_max(float v) {
  for (int mask = 16; mask; mask >>= 1) v = fmaxf(v, shuffle_xor(v, mask));
  return v;
}

}  // namespace ups::cuda
