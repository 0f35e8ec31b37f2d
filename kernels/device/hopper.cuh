// Instructions of sm_90: mbarrier, bulk and tensor (TMA) copies. Only *_sm90.cu may use them. wgmma:
// wgmma.cuh.
//
// mbarrier, cp.async arrivals and early launches are in use (conv2d_sm90.cu) and have run on an H100. Tensor
// copies (conv2d_stream_sm90.cu) are emulated only; plain bulk copies, of which no kernel has need yet, too.
#pragma once

#include "kernels/device/device.cuh"
#include "kernels/device/tensor_map.h"

#if !defined(__CUDACC__)
#define __grid_constant__
#endif

namespace ups::cuda {

// --- mbarrier -------------------------------------------------------------------------------------------
// Counts arrivals and announced bytes; when both are in, the phase flips and counting starts anew. The first
// phase has parity 0.
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, unsigned arrivals) {
#if defined(__CUDA_ARCH__)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
#elif !defined(__CUDACC__)
  simt::mbarrier_init(barrier, arrivals);
#endif
}
// Makes initialised barriers visible to the copy engine. The emulator cannot tell when it is missing.
__device__ __forceinline__ void mbarrier_init_fence() {
#if defined(__CUDA_ARCH__)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
#if defined(__CUDA_ARCH__)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#elif !defined(__CUDACC__)
  simt::mbarrier_arrive(barrier, 0);
#endif
}
// Announces bytes and arrives.
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, unsigned bytes) {
#if defined(__CUDA_ARCH__)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
#elif !defined(__CUDACC__)
  simt::mbarrier_arrive(barrier, bytes);
#endif
}
// Whether the phase of this parity has completed; may suspend the thread for a while first.
__device__ __forceinline__ bool mbarrier_try_wait(uint64_t* barrier, unsigned parity) {
#if defined(__CUDA_ARCH__)
  uint32_t done;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}\n"
      : "=r"(done)
      : "r"(shared_address(barrier)), "r"(parity & 1)
      : "memory");
  return done != 0;
#elif !defined(__CUDACC__)
  simt::mbarrier_wait(barrier, parity);
  return true;
#else
  return true;
#endif
}
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, unsigned parity) {
  while (!mbarrier_try_wait(barrier, parity)) {
  }
}

// This thread's cp.async copies up to here arrive once on the barrier when they are in; the barrier counts
// such arrivals like others. The writes are ordinary ones: before wgmma reads them, fence_async_proxy().
__device__ __forceinline__ void copy_arrive(uint64_t* barrier) {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier))
               : "memory");
#elif !defined(__CUDACC__)
  simt::copy_arrive(barrier);
#endif
}

// Of a kernel launched `early`: returns when all earlier work of the stream is done and visible.
__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// Lets the next kernel of the stream start as soon as there is room, if it was launched `early`.
__device__ __forceinline__ void let_next_start() {
#if defined(__CUDA_ARCH__)
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Brings the line of an address to the L2 cache.
__device__ __forceinline__ void prefetch_l2([[maybe_unused]] const void* p) {
#if defined(__CUDA_ARCH__)
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
#endif
}

// A barrier of `threads` threads of the block; id 1 .. 15.
__device__ __forceinline__ void named_barrier(int id, int threads) {
#if defined(__CUDA_ARCH__)
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#elif !defined(__CUDACC__)
  simt::named_barrier(id, threads);
#endif
}

// --- Bulk copies: one thread issues, an mbarrier counts the bytes in ------------------------------------
// bytes: a multiple of 16; both addresses 16-byte aligned.
__device__ __forceinline__ void bulk_copy(void* dst_shared, const void* src_global, unsigned bytes,
                                          uint64_t* barrier) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          shared_address(dst_shared)),
      "l"(src_global), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
#elif !defined(__CUDACC__)
  simt::check_shared(dst_shared, bytes, 16, "cp.async.bulk");
  if (bytes % 16 || reinterpret_cast<uintptr_t>(src_global) % 16)
    simt::fault("cp.async.bulk: size or global address is not a multiple of 16");
  simt::check_global(src_global, bytes, "cp.async.bulk");
  simt::poison(dst_shared, bytes);
  simt::land_later(barrier, bytes, [=] { std::memcpy(dst_shared, src_global, bytes); });
#endif
}

#if !defined(__CUDACC__)
namespace host {
struct MapView {
  const char* data;
  int64_t px_bytes, row_bytes;
  int h, w, c, box_h, box_w, box_c;
};
}  // namespace host
inline TensorMap make_tensor_map(const Tensor& t, int box_h, int box_w, int box_c) {
  check(t.dtype != DType::f32 && t.px % 8 == 0 && t.row % 8 == 0 &&
            reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && box_h <= 256 && box_w <= 256 &&
            (box_c == 64 || box_c == 16),
        Code::device, "tensor map: got an image of misaligned strides or an impossible box");
  const host::MapView view{
      static_cast<const char*>(t.data), t.px * 2, t.row * 2, t.h, t.w, t.c, box_h, box_w, box_c};
  TensorMap map{};
  std::memcpy(map.opaque, &view, sizeof view);
  return map;
}
#endif

// Box with corner (y, x, c), which may lie outside, to dst [box_h * box_w pixels, 2 box_c bytes].
__device__ __forceinline__ void tensor_copy(void* dst_shared, const TensorMap& map, int c, int x, int y,
                                            uint64_t* barrier) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(dst_shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(c), "r"(x), "r"(y)
      : "memory");
#elif !defined(__CUDACC__)
  host::MapView v;
  std::memcpy(&v, map.opaque, sizeof v);
  const int pixel = v.box_c * 2;
  const unsigned bytes = unsigned(v.box_h * v.box_w * pixel);
  simt::check_shared(dst_shared, bytes, size_t(pixel) * 8, "cp.async.bulk.tensor");
  simt::poison(dst_shared, bytes);
  simt::land_later(barrier, bytes, [=] {
    for (int p = 0; p < v.box_h * v.box_w; p++) {
      const int py = y + p / v.box_w, px = x + p % v.box_w;
      for (int unit = 0; unit < pixel / 16; unit++) {  // address bits 4.. are XORed with bits 7..
        const int swizzle = pixel == 128 ? p & 7 : p >> 2 & 1;
        char* to = static_cast<char*>(dst_shared) + p * pixel + (unit ^ swizzle) * 16;
        for (int e = 0; e < 8; e++) {
          const int ch = c + unit * 8 + e;
          uint16_t value = 0;
          if (py >= 0 && px >= 0 && py < v.h && px < v.w && ch >= 0 && ch < v.c)
            std::memcpy(&value, v.data + py * v.row_bytes + px * v.px_bytes + ch * 2, 2);
          std::memcpy(to + 2 * e, &value, 2);
        }
      }
    }
  });
#endif
}

// Orders this thread's ordinary writes to shared memory before later reads by the copy engine and wgmma.
__device__ __forceinline__ void fence_async_proxy() {
#if defined(__CUDA_ARCH__)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

}  // namespace ups::cuda
