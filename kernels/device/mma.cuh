// Tensor core instructions of sm_80: mma.sync and ldmatrix. One PTX instruction per function.
//
// Fragments (PTX ISA, "Matrix Fragments for mma.m16n8k16"): with group = lane / 4 and pair = lane % 4,
//   A 16x16: a[0] = rows group,   columns 2 pair, +1     a[1] = rows group+8, same columns
//            a[2] = rows group,   columns 2 pair + 8, +9 a[3] = rows group+8, columns 2 pair + 8, +9
//   B 16x8:  b[0] = rows 2 pair, +1, column group        b[1] = rows 2 pair + 8, +9
//   D 16x8:  d[0], d[1] = row group, columns 2 pair, +1  d[2], d[3] = row group+8
#pragma once

#include "kernels/device/device.cuh"

namespace ups::cuda {

#if !defined(__CUDACC__)
namespace host {
struct MmaLane {
  float* d;
  const uint32_t *a, *b;
};
template <class T>
float element(uint32_t word, int high) {
  const uint16_t bits = uint16_t(high ? word >> 16 : word);
  return to_float(T{bits});
}
// f32 accumulation in order of k; the device's order is unspecified.
template <class T>
void multiply_m16n8k16(MmaLane** lanes) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const int group = lane / 4, pair = lane % 4;
    for (int i = 0; i < 8; i++)
      a[group + 8 * (i / 2 % 2)][2 * pair + 8 * (i / 4) + i % 2] = element<T>(lanes[lane]->a[i / 2], i % 2);
    for (int i = 0; i < 4; i++)
      b[2 * pair + 8 * (i / 2) + i % 2][group] = element<T>(lanes[lane]->b[i / 2], i % 2);
  }
  for (int m = 0; m < 16; m++) {
    float sum[8];
    for (int n = 0; n < 8; n++) sum[n] = lanes[m % 8 * 4 + n / 2]->d[m / 8 * 2 + n % 2];
    for (int k = 0; k < 16; k++)
      for (int n = 0; n < 8; n++) sum[n] += a[m][k] * b[k][n];
    for (int n = 0; n < 8; n++) lanes[m % 8 * 4 + n / 2]->d[m / 8 * 2 + n % 2] = sum[n];
  }
}
inline float tf32(uint32_t bits) { return from_bits(bits & 0xffffe000); }
struct MatrixLane {
  uint32_t* r;
  const void* row;
};
template <int Count, bool Transpose>
void load_matrices(MatrixLane** lanes) {
  uint16_t m[8][8];
  for (int i = 0; i < Count; i++) {
    for (int row = 0; row < 8; row++) std::memcpy(m[row], lanes[8 * i + row]->row, 16);
    for (int lane = 0; lane < 32; lane++) {
      const int row = lane / 4, column = lane % 4 * 2;
      lanes[lane]->r[i] = Transpose ? m[column][row] | uint32_t(m[column + 1][row]) << 16
                                    : m[row][column] | uint32_t(m[row][column + 1]) << 16;
    }
  }
}
template <int Count, bool Transpose>
void ldmatrix(uint32_t* r, const void* row) {
  if (int(simt::thread_index() % 32) < 8 * Count) simt::check_shared(row, 16, 16, "ldmatrix");
  simt::meet<32>(
      Transpose ? "ldmatrix.trans" : "ldmatrix", MatrixLane{r, row},
      [](MatrixLane** lanes) { load_matrices<Count, Transpose>(lanes); }, Count);
}
}  // namespace host
#endif

// d += a * b, 16x8x16. T is half_t or bf16_t.
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, half_t>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif !defined(__CUDACC__)
  const uint32_t b[2] = {b0, b1};
  simt::meet<32>("mma.m16n8k16", host::MmaLane{d, a, b},
                 [](host::MmaLane** lanes) { host::multiply_m16n8k16<T>(lanes); });
#endif
}

// The same with d in f16: two halves per register, d[0] = row group, columns 2 pair, +1; d[1] = row group+8.
__device__ __forceinline__ void mma_m16n8k16_f16(uint32_t (&d)[2], const uint32_t (&a)[4], uint32_t b0,
                                                 uint32_t b1) {
#if defined(__CUDA_ARCH__)
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};"
               : "+r"(d[0]), "+r"(d[1])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif !defined(__CUDACC__)
  // One rounding of the sum; where the device rounds in between is unspecified.
  float wide[4];
  for (int i = 0; i < 4; i++) wide[i] = host::element<half_t>(d[i / 2], i % 2);
  mma_m16n8k16<half_t>(wide, a, b0, b1);
  for (int i = 0; i < 2; i++) d[i] = pack2<half_t>(wide[2 * i], wide[2 * i + 1]);
#endif
}

// d += a * b, 16x8x8, operands are floats of which the top 19 bits count. Fragments: a[0] = (row group,
// column pair), a[1] = row group+8, a[2] = column pair+4, a[3] = both; b[0] = (row pair, column group), b[1]
// = row pair+4.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                 uint32_t b1) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif !defined(__CUDACC__)
  const uint32_t b[2] = {b0, b1};
  simt::meet<32>("mma.m16n8k8.tf32", host::MmaLane{d, a, b}, [](host::MmaLane** lanes) {
    float fa[16][8], fb[8][8];
    for (int lane = 0; lane < 32; lane++) {
      const int group = lane / 4, pair = lane % 4;
      for (int i = 0; i < 4; i++) fa[group + 8 * (i % 2)][pair + 4 * (i / 2)] = host::tf32(lanes[lane]->a[i]);
      for (int i = 0; i < 2; i++) fb[pair + 4 * i][group] = host::tf32(lanes[lane]->b[i]);
    }
    for (int m = 0; m < 16; m++)
      for (int n = 0; n < 8; n++) {
        float& sum = lanes[m % 8 * 4 + n / 2]->d[m / 8 * 2 + n % 2];
        for (int k = 0; k < 8; k++) sum += fa[m][k] * fb[k][n];
      }
  });
#endif
}

// 8x8 matrices of 16-bit elements from shared memory: lanes 8i .. 8i+7 name the rows (16 bytes each) of
// matrix i; r[i] of lane l holds row l/4, columns 2 (l%4), +1. trans: of the transposed matrix.
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
#if defined(__CUDA_ARCH__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#elif !defined(__CUDACC__)
  host::ldmatrix<2, false>(r, row);
#endif
}
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
#if defined(__CUDA_ARCH__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#elif !defined(__CUDACC__)
  host::ldmatrix<4, false>(r, row);
#endif
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
#if defined(__CUDA_ARCH__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#elif !defined(__CUDACC__)
  host::ldmatrix<4, true>(r, row);
#endif
}

}  // namespace ups::cuda
