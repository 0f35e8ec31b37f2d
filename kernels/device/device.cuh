// The one header a .cu file starts from: launch, shared<T>, storage types.
//
// The same source is compiled twice: by nvcc for the device, and by a host compiler for the emulator
// (tests/simt), whose folder is then on the include path. Rules that keep both possible:
//   - kernels start with launch() only; shared memory is one struct, from shared<Smem>();
//   - instructions beyond plain C++ come from kernels/device/*.cuh, one function each, with a host body;
//   - no early return before a barrier.
#pragma once

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#else
#include <simt.h>  // the host emulator, tests/simt

#include <cstring>
#endif
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/device/stream.h"
#include "kernels/error.h"
#include "kernels/tensor.h"

namespace ups::cuda {

// --- Launch ---------------------------------------------------------------------------------------------
struct Grid {
  unsigned x = 1, y = 1, z = 1;
};

struct LaunchConfig {
  Grid grid;
  unsigned block = 128;
  size_t smem_bytes = 0;
  Stream* stream = nullptr;
  // The kernel calls wait_for_previous() before it touches what earlier work of the stream reads or writes;
  // then its blocks may start while the last ones of the kernel before are still running. sm_90.
  bool early = false;
};

// Enqueues kernel<<<grid, block, smem_bytes, stream>>>(args...).
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const LaunchConfig& c, const Args&... args) {
#if defined(__CUDACC__)
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(c.grid.x, c.grid.y, c.grid.z);
  config.blockDim = dim3(c.block);
  config.dynamicSmemBytes = c.smem_bytes;
  config.stream = static_cast<cudaStream_t>(c.stream->handle());
  cudaLaunchAttribute early;
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = c.early ? 1 : 0;
  cudaError_t status = cudaSuccess;
  if (c.smem_bytes > 48 << 10)  // more than every device grants unasked
    status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize, int(c.smem_bytes));
  if (status == cudaSuccess) status = cudaLaunchKernelEx(&config, kernel, Params(args)...);
  if (status != cudaSuccess) {
    cudaGetLastError();
    // Kernels are loaded when first launched, which takes device memory.
    fail(status == cudaErrorMemoryAllocation ? Code::memory : Code::device, "CUDA: launch of ", c.grid.x, "x",
         c.grid.y, "x", c.grid.z, " blocks of ", c.block, " threads with ", c.smem_bytes,
         " bytes of shared memory failed: ", cudaGetErrorString(status));
  }
#else
  simt::submit(c.stream->handle(), [=] {
    simt::run({c.grid.x, c.grid.y, c.grid.z}, c.block, c.smem_bytes, [&] { kernel(args...); });
  });
#endif
}

// The block's shared memory; T is trivial and launched with smem_bytes >= sizeof(T). 1024-byte aligned, as
// 128-byte swizzled TMA boxes need.
template <class T>
__device__ __forceinline__ T& shared() {
  static_assert(std::is_trivially_default_constructible_v<T>);
#if defined(__CUDACC__)
  extern __shared__ __align__(1024) unsigned char ups_shared_memory[];
  return *reinterpret_cast<T*>(ups_shared_memory);
#else
  return *static_cast<T*>(simt::shared_memory(sizeof(T)));
#endif
}

// --- Storage types: 16 bits, arithmetic is in float -----------------------------------------------------
struct half_t {
  uint16_t bits;
};
struct bf16_t {
  uint16_t bits;
};
template <class T>
constexpr DType dtype_of() {
  return std::is_same_v<T, half_t> ? DType::f16 : std::is_same_v<T, bf16_t> ? DType::bf16 : DType::f32;
}

#if !defined(__CUDACC__)
namespace host {
inline float from_bits(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline uint32_t to_bits(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}
// Round to nearest even, subnormals and overflow to infinity as the device does.
inline uint16_t half_bits(float f) {
  const uint32_t u = to_bits(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7fff);
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);  // rounds to 65536 or more
  if (magnitude < 0x38800000) {                                 // subnormal: units of 2^-24
    const float scaled = from_bits(magnitude) * 0x1p24f;
    return uint16_t(sign | uint32_t(std::nearbyint(scaled)));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | (rounded - 0x38000000) >> 13);
}
inline float half_value(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) return from_bits(sign | to_bits(float(fraction) * 0x1p-24f));
  return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}
inline uint16_t bf16_bits(float f) {
  const uint32_t u = to_bits(f);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
}  // namespace host
#endif

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(half_t v) {
#if defined(__CUDACC__)
  return __half2float(__half(__half_raw{v.bits}));
#else
  return host::half_value(v.bits);
#endif
}
__device__ __forceinline__ float to_float(bf16_t v) {
#if defined(__CUDACC__)
  return __uint_as_float(uint32_t(v.bits) << 16);
#else
  return host::from_bits(uint32_t(v.bits) << 16);
#endif
}

// Round to nearest even.
template <class T>
__device__ __forceinline__ T from_float(float v) {
  if constexpr (std::is_same_v<T, float>) {
    return v;
  } else if constexpr (std::is_same_v<T, half_t>) {
#if defined(__CUDACC__)
    return {static_cast<__half_raw>(__float2half_rn(v)).x};
#else
    return {host::half_bits(v)};
#endif
  } else {
#if defined(__CUDACC__)
    return {static_cast<__nv_bfloat16_raw>(__float2bfloat16_rn(v)).x};
#else
    return {host::bf16_bits(v)};
#endif
  }
}

__device__ __forceinline__ float float_of_bits(uint32_t bits) {
#if defined(__CUDACC__)
  return __uint_as_float(bits);
#else
  return host::from_bits(bits);
#endif
}
__device__ __forceinline__ uint32_t bits_of_float(float v) {
#if defined(__CUDACC__)
  return __float_as_uint(v);
#else
  return host::to_bits(v);
#endif
}

// Two values in one register, `lo` at the lower address.
template <class T>
__device__ __forceinline__ uint32_t pack2(float lo, float hi) {
  return uint32_t(from_float<T>(lo).bits) | uint32_t(from_float<T>(hi).bits) << 16;
}

// 16 bytes, moved by one instruction.
struct alignas(16) Vec16 {
  uint32_t v[4];
};

// Element i of t's buffer, any dtype.
__device__ __forceinline__ float load_element(const Tensor& t, int64_t i) {
  if (t.dtype == DType::f32) return static_cast<const float*>(t.data)[i];
  if (t.dtype == DType::f16) return to_float(static_cast<const half_t*>(t.data)[i]);
  return to_float(static_cast<const bf16_t*>(t.data)[i]);
}
__device__ __forceinline__ void store_element(const Tensor& t, int64_t i, float v) {
  if (t.dtype == DType::f32)
    static_cast<float*>(t.data)[i] = v;
  else if (t.dtype == DType::f16)
    static_cast<half_t*>(t.data)[i] = from_float<half_t>(v);
  else
    static_cast<bf16_t*>(t.data)[i] = from_float<bf16_t>(v);
}

// Arithmetic that must not be contracted to a fused multiply-add.
__device__ __forceinline__ float mul_rn(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
__device__ __forceinline__ float add_rn(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

__device__ __forceinline__ int lane_index() { return int(threadIdx.x & 31); }
__device__ __forceinline__ int warp_index() { return int(threadIdx.x >> 5); }

// For inline PTX: the address of shared memory in its own window.
__device__ __forceinline__ uint32_t shared_address(const void* p) {
#if defined(__CUDACC__)
  return uint32_t(__cvta_generic_to_shared(p));
#else
  return uint32_t(reinterpret_cast<uintptr_t>(p));
#endif
}

}  // namespace ups::cuda
