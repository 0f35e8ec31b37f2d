// Windows of an image by arithmetic on coordinates (kernels/ops.h, WindowAttention), and softmax in
// registers.
#pragma once

#include "kernels/device/arithmetic.cuh"
#include "kernels/device/tokens.cuh"

namespace ups::cuda {

constexpr float kLog2e = 1.44269504f;
constexpr float kSeamMask = -100 * kLog2e;  // logits are in units of log 2: exp(x) = 2^(x log2 e)
constexpr float kNoKey = -1e30f;

// What the bias and the mask of a pair need of its key, in one word: the place of the key in a bias table
// row, and the side of the seams it lies on (bits 24, 25). kAbsent: no such key, it has no weight; its place
// is one that may be read.
constexpr int kAbsent = 4 << 24;
__device__ __forceinline__ int key_word(int place, int side) { return place | side << 24; }
struct alignas(8) Words {  // of two keys, loaded at once
  int v[2];
};

// Along one axis: a pixel of the rolled image lies on the far side of the seam.
__device__ __forceinline__ int beyond_seam(int rolled, int shift, int size) {
  return shift > 0 && rolled >= size - shift ? 1 : 0;
}
__device__ __forceinline__ int unrolled(int rolled, int shift, int size) {
  const int at = rolled + shift;
  return at < size ? at : at - size;
}

// bias as it is for a key on the side of the query, less what the mask takes elsewhere. No branches.
__device__ __forceinline__ float masked_logit(float bias, int query_side, int key) {
  const float elsewhere = key >= kAbsent ? kNoKey : bias + kSeamMask;
  return key >> 24 == query_side ? bias : elsewhere;
}
// The logit a pair starts with: bias and mask, in units of log 2. `table` is the bias of one head, `query`
// the offset that brings a key's place to the place of key minus query.
__device__ __forceinline__ float first_logit(const float* table, int query, int query_side, int key) {
  return masked_logit(table[query + (key & 0xffffff)] * kLog2e, query_side, key);
}

// Keys and values lie in shared memory as [tokens][DP], DP = 16 or 32 channels: rows of 32 or 64 bytes whose
// 16-byte units are permuted so that the same unit of 8 consecutive rows lies in 8 groups of 4 banks.
template <int DP>
__device__ __forceinline__ int key_unit(int row, int unit) {
  if constexpr (DP == 32)
    return row * 32 + ((unit ^ (row >> 1 & 3)) << 3);
  else
    return row * 16 + ((unit ^ (row >> 2 & 1)) << 3);
}

// s[m][n] += q[m] * keys [8 n, 8 n + 8), for M times 16 queries: what is read of the keys serves all.
template <class T, int DP, int M, int N>
__device__ __forceinline__ void add_scores(float (&s)[M][N][4], const uint32_t (&q)[M][DP / 16][4],
                                           const T* keys) {
  const int lane = lane_index();
  if constexpr (DP == 32) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      uint32_t b[4];
      ldmatrix_x4(b, keys + key_unit<32>(n * 8 + lane % 8, lane / 8));
#pragma unroll
      for (int m = 0; m < M; m++) {
        mma_m16n8k16<T>(s[m][n], q[m][0], b[0], b[1]);
        mma_m16n8k16<T>(s[m][n], q[m][1], b[2], b[3]);
      }
    }
  } else {
#pragma unroll
    for (int n = 0; n < N / 2; n++) {
      uint32_t b[4];
      ldmatrix_x4(b, keys + key_unit<16>(n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
#pragma unroll
      for (int m = 0; m < M; m++) {
        mma_m16n8k16<T>(s[m][2 * n], q[m][0], b[0], b[1]);
        mma_m16n8k16<T>(s[m][2 * n + 1], q[m][0], b[2], b[3]);
      }
    }
  }
}

// o[m] += p[m] * values; p are N / 2 blocks of 16 keys made of the N octets of s.
template <class T, int DP, int M, int N>
__device__ __forceinline__ void add_values(float (&o)[M][DP / 8][4], const float (&s)[M][N][4],
                                           const T* values) {
  const int lane = lane_index();
#pragma unroll
  for (int j = 0; j < N / 2; j++) {
    uint32_t p[M][4];
#pragma unroll
    for (int m = 0; m < M; m++) pack_block<T>(p[m], s[m][2 * j], s[m][2 * j + 1]);
#pragma unroll
    for (int i = 0; i < DP / 16; i++) {
      uint32_t b[4];
      ldmatrix_x4_trans(b, values + key_unit<DP>(j * 16 + lane % 16, 2 * i + lane / 16));
#pragma unroll
      for (int m = 0; m < M; m++) {
        mma_m16n8k16<T>(o[m][2 * i], p[m], b[0], b[1]);
        mma_m16n8k16<T>(o[m][2 * i + 1], p[m], b[2], b[3]);
      }
    }
  }
}

// The same for 16 queries.
template <class T, int DP, int N>
__device__ __forceinline__ void add_scores(float (&s)[N][4], const uint32_t (&q)[DP / 16][4], const T* keys) {
  add_scores<T, DP>(reinterpret_cast<float(&)[1][N][4]>(s),
                    reinterpret_cast<const uint32_t(&)[1][DP / 16][4]>(q), keys);
}
template <class T, int DP, int N>
__device__ __forceinline__ void add_values(float (&o)[DP / 8][4], const float (&s)[N][4], const T* values) {
  add_values<T, DP>(reinterpret_cast<float(&)[1][DP / 8][4]>(o), reinterpret_cast<const float(&)[1][N][4]>(s),
                    values);
}

// s -> 2^(s - largest of the row); sums of the two rows of this lane over its own columns.
template <int N>
__device__ __forceinline__ void exponentials(float (&s)[N][4], const float (&largest)[2], float (&sum)[2]) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      s[n][i] = exp2_fast(s[n][i] - largest[i / 2]);
      sum[i / 2] += s[n][i];
    }
}
template <int N>
__device__ __forceinline__ void row_maxima(const float (&s)[N][4], float (&largest)[2]) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) largest[i / 2] = fmaxf(largest[i / 2], s[n][i]);
#pragma unroll
  for (int half = 0; half < 2; half++) largest[half] = quad_max(largest[half]);
}

// The reciprocal lengths of the two rows of this lane; columns beyond the head are zero.
template <int N>
__device__ __forceinline__ void inverse_lengths(const float (&v)[N][4], float (&inverse)[2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float squares = 0;
#pragma unroll
    for (int n = 0; n < N; n++)
      squares += v[n][2 * half] * v[n][2 * half] + v[n][2 * half + 1] * v[n][2 * half + 1];
    inverse[half] = 1.0f / fmaxf(sqrtf(quad_sum(squares)), 1e-12f);
  }
}

}  // namespace ups::cuda
