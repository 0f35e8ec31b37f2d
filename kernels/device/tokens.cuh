// Tokens (pixels with all their channels) as operands of tensor cores, and linear layers on them.
//
// A warp owns 16 tokens, or twice as many: row `group` and `group + 8` of each fragment (group = lane / 4,
// mma.cuh). A lane quad therefore holds whole rows between them: means, lengths and maxima of a token are two
// shuffles away, and no token ever visits shared memory to be normalised. What lanes of a quad load or store
// of one pixel is 16 contiguous bytes.
//
// Weights stream through shared memory in stages of [blocks of 16 inputs][rows = outputs][16], as they lie in
// memory (kernels/pack.h). A row is 32 bytes; its halves are swapped by bit 2 of the row number, so that the
// 8 rows of an ldmatrix lie in 8 different groups of 4 banks.
#pragma once

#include "kernels/device/copy.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/device/quad.cuh"
#include "kernels/ops.h"

namespace ups::cuda {

constexpr int cout_padded(int cout) { return (cout + 15) / 16 * 16; }
constexpr int blocks_of(int channels) { return (channels + 15) / 16; }

// Whether pairs of channels of t may be moved as words.
inline bool moves_words(const Tensor& t) {
  return t.c % 2 == 0 && t.px % 2 == 0 && t.row % 2 == 0 && (t.n == 1 || t.image % 2 == 0) &&
         reinterpret_cast<uintptr_t>(t.data) % 4 == 0;
}

template <class T>
__device__ __forceinline__ float low(uint32_t word) {
  return to_float(T{uint16_t(word)});
}
template <class T>
__device__ __forceinline__ float high(uint32_t word) {
  return to_float(T{uint16_t(word >> 16)});
}

// Channels ch, ch + 1 of a pixel of c channels (null: no pixel); what does not exist is zero.
template <class T>
__device__ __forceinline__ uint32_t load_pair(const T* pixel, int ch, int c, bool words) {
  if (!pixel || ch >= c) return 0;
  if (words) return *reinterpret_cast<const uint32_t*>(pixel + ch);
  return pixel[ch].bits | (ch + 1 < c ? uint32_t(pixel[ch + 1].bits) << 16 : 0u);
}
template <class T>
__device__ __forceinline__ void store_pair(T* pixel, int ch, int c, bool words, float v0, float v1) {
  if (!pixel || ch >= c) return;
  if (words) {
    *reinterpret_cast<uint32_t*>(pixel + ch) = pack2<T>(v0, v1);
    return;
  }
  pixel[ch] = from_float<T>(v0);
  if (ch + 1 < c) pixel[ch + 1] = from_float<T>(v1);
}
__device__ __forceinline__ float value_or_zero(const float* v, int i, int count) {
  return v && i < count ? v[i] : 0.0f;
}

// The first channel of word i of block kb of a fragment.
__device__ __forceinline__ int channel_of(int kb, int i) {
  return kb * 16 + i / 2 * 8 + lane_index() % 4 * 2;
}

// a = 16 tokens of c channels: pixel[0] is row `group`, pixel[1] row `group + 8`.
template <class T, int KB>
__device__ __forceinline__ void load_tokens(uint32_t (&a)[KB][4], const T* const (&pixel)[2], int c,
                                            bool words) {
#pragma unroll
  for (int kb = 0; kb < KB; kb++)
#pragma unroll
    for (int i = 0; i < 4; i++) a[kb][i] = load_pair(pixel[i % 2], channel_of(kb, i), c, words);
}

struct Moments {
  float mean, scale;  // scale = 1 / sqrt(variance + eps)
};

// Of row `group + 8 * half`, in f32, by two passes over registers: f(kb, i) calls g(value, value, channel).
template <class T, int KB>
__device__ __forceinline__ Moments moments_of(const uint32_t (&a)[KB][4], int half, int c, float eps) {
  const float inverse_c = 1.0f / float(c);
  float sum = 0;
#pragma unroll
  for (int kb = 0; kb < KB; kb++)
#pragma unroll
    for (int i = half; i < 4; i += 2) sum += low<T>(a[kb][i]) + high<T>(a[kb][i]);  // zero beyond c
  const float mean = quad_sum(sum) * inverse_c;
  float squares = 0;
#pragma unroll
  for (int kb = 0; kb < KB; kb++)
#pragma unroll
    for (int i = half; i < 4; i += 2) {
      const int ch = channel_of(kb, i);
      const float v0 = low<T>(a[kb][i]) - mean, v1 = high<T>(a[kb][i]) - mean;
      if (ch < c) squares += v0 * v0;
      if (ch + 1 < c) squares += v1 * v1;
    }
  return {mean, 1.0f / sqrtf(quad_sum(squares) * inverse_c + eps)};
}

__device__ __forceinline__ float normalised(float v, const Moments& m, const Weight& norm, int ch, int c) {
  return ch < c ? (v - m.mean) * m.scale * static_cast<const float*>(norm.w)[ch] + norm.bias[ch] : 0.0f;
}

// a = LayerNorm(a) over c channels.
template <class T, int KB>
__device__ __forceinline__ void normalise_tokens(uint32_t (&a)[KB][4], const Weight& norm, int c, float eps) {
  const Moments m[2] = {moments_of<T>(a, 0, c, eps), moments_of<T>(a, 1, c, eps)};
#pragma unroll
  for (int kb = 0; kb < KB; kb++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int ch = channel_of(kb, i);
      a[kb][i] = pack2<T>(normalised(low<T>(a[kb][i]), m[i % 2], norm, ch, c),
                          normalised(high<T>(a[kb][i]), m[i % 2], norm, ch + 1, c));
    }
}

// --- Weights --------------------------------------------------------------------------------------------
// Element offset of 8-channel unit `unit` of a row of 16.
__device__ __forceinline__ int row_unit(int row, int unit) {
  return row * 16 + ((unit ^ (row >> 2 & 1)) << 3);
}

// Begins copying outputs [first, first + count) of blocks [block, block + blocks) to a stage of `rows` rows
// per block; everything beyond count and beyond the layer's blocks becomes zero. All threads of the block
// share.
template <class T>
__device__ __forceinline__ void copy_rows(T* stage, const Weight& w, int block, int blocks, int first,
                                          int count, int rows) {
  const T* from = static_cast<const T*>(w.w);
  const int pad = cout_padded(w.cout), most = blocks_of(w.cin);
  for (int unit = int(threadIdx.x); unit < blocks * rows * 2; unit += int(blockDim.x)) {
    const int row = unit / 2, kb = block + row / rows, n = row % rows;
    const bool inside = n < count && kb < most;
    copy_async<16>(stage + row_unit(row, unit % 2),
                   inside ? from + (int64_t(kb) * pad + first + n) * 16 + unit % 2 * 8 : from,
                   inside ? 16 : 0);
  }
}

// sum[m][n] += a[m] * stage rows [8 n, 8 n + 8) over the first `blocks` blocks, for M times 16 tokens: what
// is read of the stage serves all.
template <class T, int M, int KB, int N>
__device__ __forceinline__ void multiply(float (&sum)[M][N][4], const uint32_t (&a)[M][KB][4], const T* stage,
                                         int blocks, int rows) {
  const int lane = lane_index(), row = lane / 16 * 8 + lane % 8, unit = lane / 8 % 2;
#pragma unroll
  for (int kb = 0; kb < KB; kb++) {
    if (kb >= blocks) continue;
#pragma unroll
    for (int n = 0; n < N / 2; n++) {
      uint32_t b[4];
      ldmatrix_x4(b, stage + row_unit(kb * rows + n * 16 + row, unit));
#pragma unroll
      for (int m = 0; m < M; m++) {
        mma_m16n8k16<T>(sum[m][2 * n], a[m][kb], b[0], b[1]);
        mma_m16n8k16<T>(sum[m][2 * n + 1], a[m][kb], b[2], b[3]);
      }
    }
  }
}

// Sums of 16 outputs as block of a following product: the layouts of D and A agree.
template <class T>
__device__ __forceinline__ void pack_block(uint32_t (&a)[4], const float (&left)[4],
                                           const float (&right)[4]) {
  a[0] = pack2<T>(left[0], left[1]), a[1] = pack2<T>(left[2], left[3]);
  a[2] = pack2<T>(right[0], right[1]), a[3] = pack2<T>(right[2], right[3]);
}

}  // namespace ups::cuda
