// Shuffles and reductions within a warp, and over a block.
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

// The value of lane `source`.
__device__ __forceinline__ float shuffle(float v, int source) {
#if defined(__CUDA_ARCH__)
  return __shfl_sync(0xffffffffu, v, source);
#elif !defined(__CUDACC__)
  struct Lane {
    float in, *out;
    int source;
  };
  float out = 0;
  simt::meet<32>("shuffle", Lane{v, &out, source}, [](Lane** lanes) {
    for (int i = 0; i < 32; i++) *lanes[i]->out = lanes[lanes[i]->source & 31]->in;
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

// Sum over a block of Warps * 32 threads; every thread gets it. `scratch`: Warps floats of shared memory,
// free to use before and after.
template <int Warps>
__device__ __forceinline__ float block_sum(float v, float* scratch) {
  v = warp_sum(v);
  __syncthreads();
  if (lane_index() == 0) scratch[warp_index()] = v;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < Warps; i++) sum += scratch[i];
  __syncthreads();
  return sum;
}

}  // namespace ups::cuda
