// wgmma (sm_90a): the 128 threads of a warpgroup multiply matrices that lie in shared memory, asynchronously.
#pragma once

#if !defined(__CUDACC__)
#include <memory>
#endif

#include "kernels/device/hopper.cuh"

namespace ups::cuda {

// --- Descriptors: where a K-major matrix of 16-bit elements lies ----------------------------------------
// Offset in shared memory as the descriptors count it.
__device__ __forceinline__ uint64_t matrix_address(const void* p) {
#if defined(__CUDACC__)
  return shared_address(p);
#else
  return uint64_t(static_cast<const char*>(p) - static_cast<char*>(simt::shared_memory(0)));
#endif
}
// Rows of 128 bytes (64 along k), 128-byte swizzled, groups of eight rows 1024 bytes apart. Advance by 16
// along k: add 32 bytes to p.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* p) {
  return (matrix_address(p) & 0x3ffff) >> 4 | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 |
         uint64_t(1) << 62;
}
// Rows of 32 bytes (16 along k, one step), 32-byte swizzled, groups of eight rows 256 bytes apart.
__device__ __forceinline__ uint64_t step_descriptor(const void* p) {
  return (matrix_address(p) & 0x3ffff) >> 4 | uint64_t(1) << 16 | uint64_t(256 >> 4) << 32 |
         uint64_t(3) << 62;
}
// Planes of 8 elements along k (16 bytes per row, row after row without gaps), planes k_bytes apart; not
// swizzled, so that a matrix may begin at any row: what a convolution needs to shift an image by a tap.
__device__ __forceinline__ uint64_t plane_descriptor(const void* p, unsigned k_bytes) {
  return (matrix_address(p) & 0x3ffff) >> 4 | uint64_t(k_bytes >> 4) << 16 | uint64_t(128 >> 4) << 32;
}
// A right factor of which rows lie along k: blocks of 64 columns (128 bytes), a row of each after the other,
// 128-byte swizzled, eight rows 1024 bytes; blocks are block_bytes apart. 16 rows are one step.
__device__ __forceinline__ uint64_t rows_descriptor(const void* p, unsigned block_bytes) {
  return (matrix_address(p) & 0x3ffff) >> 4 | uint64_t(block_bytes >> 4) << 16 | uint64_t(1024 >> 4) << 32 |
         uint64_t(1) << 62;
}

// Before the first wgmma that uses registers written by ordinary instructions.
__device__ __forceinline__ void wgmma_fence() {
#if defined(__CUDA_ARCH__)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void wgmma_commit() {
#if defined(__CUDA_ARCH__)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::meet<128>("wgmma.commit_group", 0, [](int**) { simt::wgmma_commit(); });
#endif
}
template <int Left>
__device__ __forceinline__ void wgmma_wait() {
#if defined(__CUDA_ARCH__)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
#elif !defined(__CUDACC__)
  simt::meet<128>("wgmma.wait_group", 0, [](int**) { simt::wgmma_wait(Left); });
#endif
}

// Moves registers between warpgroups: every warp of one calls it with the number per thread it wants from now
// on (24 .. 256, a multiple of 8). Needs a kernel with __launch_bounds__(threads, 1).
template <int Registers>
__device__ __forceinline__ void registers_release() {
#if defined(__CUDA_ARCH__)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
}
template <int Registers>
__device__ __forceinline__ void registers_take() {
#if defined(__CUDA_ARCH__)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
}

#if !defined(__CUDACC__)
namespace host {
struct WgmmaLane {
  float* d;
  uint64_t a, b;
  int accumulate;
};
// The bits of element (row, k) of a described matrix.
inline uint16_t described(uint64_t descriptor, int row, int k) {
  const uint64_t start = (descriptor & 0x3fff) << 4, k_bytes = (descriptor >> 16 & 0x3fff) << 4,
                 group_bytes = (descriptor >> 32 & 0x3fff) << 4;
  uint64_t at = start + uint64_t(row / 8) * group_bytes;
  if (descriptor >> 62 == 1) {  // 128-byte swizzle: address bits 4..6 are XORed with bits 7..9
    at += uint64_t(row % 8) * 128 + uint64_t(k) * 2;
    at ^= (at >> 7 & 7) << 4;
  } else if (descriptor >> 62 == 3) {  // 32-byte swizzle: bit 4 is XORed with bit 7
    at += uint64_t(row % 8) * 32 + uint64_t(k) * 2;
    at ^= (at >> 7 & 1) << 4;
  } else {
    at += uint64_t(row % 8) * 16 + uint64_t(k / 8) * k_bytes + uint64_t(k % 8) * 2;
  }
  uint16_t bits;
  const char* p = static_cast<const char*>(simt::shared_memory(0)) + at;
  simt::check_shared(p, 2, 2, "wgmma");
  std::memcpy(&bits, p, 2);
  return bits;
}
// The bits of element (k, column) of a factor described by rows.
inline uint16_t described_row(uint64_t descriptor, int k, int column) {
  const uint64_t start = (descriptor & 0x3fff) << 4, block_bytes = (descriptor >> 16 & 0x3fff) << 4,
                 group_bytes = (descriptor >> 32 & 0x3fff) << 4;
  uint64_t at = start + uint64_t(column / 64) * block_bytes + uint64_t(k / 8) * group_bytes +
                uint64_t(k % 8) * 128 + uint64_t(column % 64) * 2;
  at ^= (at >> 7 & 7) << 4;
  uint16_t bits;
  const char* p = static_cast<const char*>(simt::shared_memory(0)) + at;
  simt::check_shared(p, 2, 2, "wgmma");
  std::memcpy(&bits, p, 2);
  return bits;
}
template <int N, bool Rows>
struct Factors {
  uint16_t a[64][16], b[16][N];
  Factors(uint64_t a_descriptor, uint64_t b_descriptor) {
    for (int m = 0; m < 64; m++)
      for (int k = 0; k < 16; k++) a[m][k] = described(a_descriptor, m, k);
    for (int n = 0; n < N; n++)
      for (int k = 0; k < 16; k++)
        b[k][n] = Rows ? described_row(b_descriptor, k, n) : described(b_descriptor, n, k);
  }
};
template <class T, int N, bool Rows = false>
void wgmma(WgmmaLane** lanes) {
  float* acc[128];
  for (int i = 0; i < 128; i++) acc[i] = lanes[i]->d;
  const uint64_t a = lanes[0]->a, b = lanes[0]->b;
  auto begun = std::make_shared<const Factors<N, Rows>>(a, b);
  simt::wgmma_queue(acc, N / 2, [a, b, begun, keep = lanes[0]->accumulate](float** d) {
    const Factors<N, Rows> factors(a, b);  // the device reads them at any time from the beginning to here
    if (std::memcmp(begun.get(), &factors, sizeof factors) != 0)
      simt::fault("wgmma: a factor was written while it was being read");
    float fa[64][16], fb[16][N];
    for (int m = 0; m < 64; m++)
      for (int k = 0; k < 16; k++) fa[m][k] = to_float(T{factors.a[m][k]});
    for (int k = 0; k < 16; k++)
      for (int n = 0; n < N; n++) fb[k][n] = to_float(T{factors.b[k][n]});
    for (int m = 0; m < 64; m++) {
      float sum[N];
      // warp m / 16 holds rows as in m16n8k16, eight columns after eight columns
      auto at = [&](int n) -> float& {
        return d[m / 16 * 32 + m % 8 * 4 + n % 8 / 2][n / 8 * 4 + m % 16 / 8 * 2 + n % 2];
      };
      for (int n = 0; n < N; n++) sum[n] = keep ? at(n) : 0;
      for (int k = 0; k < 16; k++)
        for (int n = 0; n < N; n++) sum[n] += fa[m][k] * fb[k][n];
      for (int n = 0; n < N; n++) at(n) = sum[n];
    }
  });
}
}  // namespace host
#endif

// d (+)= a * b, 64xNx16, asynchronous: d is undefined until wgmma_wait. Rows 16 w .. of warp w of the
// warpgroup; within a warp d[4 j + i] is element i of the m16n8k16 fragment of columns 8 j. accumulate = 0: d
// = a * b.
#define UPS_D16(i)                                                                                      \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),           \
      "+f"(d[i + 6]), "+f"(d[i + 7]), "+f"(d[i + 8]), "+f"(d[i + 9]), "+f"(d[i + 10]), "+f"(d[i + 11]), \
      "+f"(d[i + 12]), "+f"(d[i + 13]), "+f"(d[i + 14]), "+f"(d[i + 15])
#define UPS_D_12                                                                                  \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11])
#define UPS_D_16 UPS_D16(0)
#define UPS_D_32 UPS_D_16, UPS_D16(16)
#define UPS_D_48 UPS_D_32, UPS_D16(32)
#define UPS_D_64 UPS_D_48, UPS_D16(48)
#define UPS_D_96 UPS_D_64, UPS_D16(64), UPS_D16(80)
#define UPS_D_128 UPS_D_96, UPS_D16(96), UPS_D16(112)
#define UPS_REGISTERS_12 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11"
#define UPS_REGISTERS_16 UPS_REGISTERS_12 ", %12, %13, %14, %15"
#define UPS_REGISTERS_32 \
  UPS_REGISTERS_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define UPS_REGISTERS_48 \
  UPS_REGISTERS_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define UPS_REGISTERS_64 \
  UPS_REGISTERS_48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define UPS_REGISTERS_96                                                                              \
  UPS_REGISTERS_64                                                                                    \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, " \
  "%83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define UPS_REGISTERS_128                                                                                \
  UPS_REGISTERS_96                                                                                       \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, " \
  "%113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
// count: registers of d; operands at %a_at, %b_at, and the predicate's at %p_at. b_rows: 1 if b's rows lie
// along k.
#define UPS_WGMMA_OF(type, shape, count, a_at, b_at, p_at, b_rows)                                    \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #p_at                                             \
               ", 0;\n"                                                                               \
               "wgmma.mma_async.sync.aligned." shape ".f32." type "." type " {" UPS_REGISTERS_##count \
               "}, %" #a_at ", %" #b_at ", p, 1, 1, 0, " #b_rows ";\n}\n"                             \
               : UPS_D_##count                                                                        \
               : "l"(a), "l"(b), "r"(accumulate))
#define UPS_WGMMA(shape, count, a_at, b_at, p_at, b_rows)           \
  do {                                                              \
    if constexpr (std::is_same_v<T, half_t>)                        \
      UPS_WGMMA_OF("f16", shape, count, a_at, b_at, p_at, b_rows);  \
    else                                                            \
      UPS_WGMMA_OF("bf16", shape, count, a_at, b_at, p_at, b_rows); \
  } while (false)
template <class T, int N>
__device__ __forceinline__ void wgmma_m64k16(float (&d)[N / 2], uint64_t a, uint64_t b, int accumulate = 1) {
  static_assert(N == 24 || N == 32 || N == 64 || N == 96 || N == 128 || N == 192 || N == 256,
                "shapes in use");
#if defined(__CUDA_ARCH__)
  if constexpr (N == 24)
    UPS_WGMMA("m64n24k16", 12, 12, 13, 14, 0);
  else if constexpr (N == 32)
    UPS_WGMMA("m64n32k16", 16, 16, 17, 18, 0);
  else if constexpr (N == 64)
    UPS_WGMMA("m64n64k16", 32, 32, 33, 34, 0);
  else if constexpr (N == 96)
    UPS_WGMMA("m64n96k16", 48, 48, 49, 50, 0);
  else if constexpr (N == 128)
    UPS_WGMMA("m64n128k16", 64, 64, 65, 66, 0);
  else if constexpr (N == 192)
    UPS_WGMMA("m64n192k16", 96, 96, 97, 98, 0);
  else if constexpr (N == 256)
    UPS_WGMMA("m64n256k16", 128, 128, 129, 130, 0);
#elif !defined(__CUDACC__)
  simt::meet<128>("wgmma", host::WgmmaLane{d, a, b, accumulate},
                  [](host::WgmmaLane** lanes) { host::wgmma<T, N>(lanes); });
#endif
}
// The same for N = 256 with b as rows along k: row k holds 256 columns, in blocks of 64 (128 bytes, swizzled;
// see rows_descriptor). What a product needs whose right factor is stored as the image of values is.
template <class T>
__device__ __forceinline__ void wgmma_m64n256k16_rows(float (&d)[128], uint64_t a, uint64_t b,
                                                      int accumulate = 1) {
#if defined(__CUDA_ARCH__)
  UPS_WGMMA("m64n256k16", 128, 128, 129, 130, 1);
#elif !defined(__CUDACC__)
  simt::meet<128>("wgmma", host::WgmmaLane{d, a, b, accumulate},
                  [](host::WgmmaLane** lanes) { host::wgmma<T, 256, true>(lanes); });
#endif
}
#undef UPS_WGMMA
#undef UPS_WGMMA_OF
#undef UPS_D16
#undef UPS_D_12
#undef UPS_REGISTERS_12
#undef UPS_D_16
#undef UPS_REGISTERS_16
#undef UPS_D_32
#undef UPS_REGISTERS_32
#undef UPS_D_48
#undef UPS_REGISTERS_48
#undef UPS_D_64
#undef UPS_REGISTERS_64
#undef UPS_D_96
#undef UPS_REGISTERS_96
#undef UPS_D_128
#undef UPS_REGISTERS_128

}  // namespace ups::cuda
