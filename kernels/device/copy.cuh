// cp.async: copies from global to shared memory that need no registers and run behind the arithmetic.
#pragma once

#include "kernels/device/device.cuh"

namespace ups::cuda {

// Bytes = 4, 8 or 16; both addresses are multiples of it. The first src_bytes (0..Bytes) are copied, the rest
// of dst becomes zero; src is not read beyond src_bytes. 16-byte copies bypass L1.
template <int Bytes>
__device__ __forceinline__ void copy_async(void* dst_shared, const void* src_global, int src_bytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if defined(__CUDA_ARCH__)
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst_shared)),
                 "l"(src_global), "r"(src_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(dst_shared)),
                 "l"(src_global), "n"(Bytes), "r"(src_bytes)
                 : "memory");
#elif !defined(__CUDACC__)
  simt::copy_async(dst_shared, src_global, Bytes, src_bytes);
#endif
}

// Ends a group of this thread's copies.
__device__ __forceinline__ void copy_commit() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::copy_commit();
#endif
}

// Waits until at most Left of this thread's groups are under way. Other threads see the data after a barrier.
template <int Left>
__device__ __forceinline__ void copy_wait() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
#elif !defined(__CUDACC__)
  simt::copy_wait(Left);
#endif
}

}  // namespace ups::cuda
