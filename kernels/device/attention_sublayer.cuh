// What the kernels of an attention sublayer share (attention_sublayer_mma.cu for small windows,
// attention_sublayer_wide_mma.cu for large ones): where tokens lie, weights that stream past all warps, the
// linear layers on a warp's tokens, and the projection with all that follows it.
//
// Weights come in chunks of 32 outputs x all inputs, up to 16 KB, by cp.async: k, v and q of each head, then
// the outputs of proj. What a warp reads of a chunk serves all of its tokens. Head dimensions are padded to
// DP = 16 or 32 by rows of zeros that the copies make: products there are zero.
#pragma once

#include "kernels/device/windows.cuh"
#include "kernels/sublayer_ops.h"

namespace ups::cuda {

struct SublayerJob {
  int stages = 2, ahead = 1;       // chunks that shared memory holds; that are copied before they are needed
  int blocks = 0;                  // of 16 channels, of what the warps hold: x, then attended
  int grid_w = 0, count = 0;       // windows per row, in all
  int row = 0;                     // elements per row of attended
  bool words_x, words_y, words_r;  // pairs of channels move as words
};

constexpr size_t stage_elements(const SublayerJob& job) { return size_t(job.blocks) * 32 * 16; }

inline void shape_tokens(SublayerJob& job, const AttentionSublayer<Tensor>& op) {
  job.blocks = blocks_of(op.qkv.cin);
  job.row = job.blocks * 16 + 8;
}
inline void describe_images(SublayerJob& job, const AttentionSublayer<Tensor>& op) {
  job.grid_w = op.x.w / op.window.w;
  job.count = op.x.h / op.window.h * job.grid_w;
  job.words_x = moves_words(op.x), job.words_y = moves_words(op.y), job.words_r = moves_words(op.residual);
}

// Null: both kernels can compute op.
inline const char* declines_mma(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  if (device.sm < 80) return "needs sm_80 or newer";
  for (const Tensor* t : {&op.x, &op.residual, &op.y})
    if (t->dtype == DType::f32 || t->dtype != op.x.dtype) return "needs x, residual and y of one 16-bit type";
  if (op.qkv.dtype != op.x.dtype || op.proj.dtype != op.x.dtype) return "needs weights of x's dtype";
  if (op.proj.cin != op.qkv.cin) return "needs as many channels in all heads as in x";
  return nullptr;
}

// A pixel of the image, the side of the seams it lies on, and whether it is a token at all.
struct Place {
  int y, x, side;
  bool exists;
};
// Token `t` of a window; it does not exist beyond the window.
__device__ __forceinline__ Place place_of(const AttentionSublayer<Tensor>& op, int window_y, int window_x,
                                          int t, bool exists) {
  const int ry = window_y * op.window.h + t / op.window.w, rx = window_x * op.window.w + t % op.window.w;
  const int side = beyond_seam(ry, op.shift.h, op.x.h) * 2 + beyond_seam(rx, op.shift.w, op.x.w);
  return {unrolled(ry, op.shift.h, op.x.h), unrolled(rx, op.shift.w, op.x.w), side,
          exists && t < op.window.h * op.window.w};
}

template <class T>
__device__ __forceinline__ const T* pixel_of(const Tensor& t, int n, const Place& p) {
  return p.exists ? static_cast<const T*>(t.data) + n * t.image + p.y * t.row + p.x * t.px : nullptr;
}

// This lane's tokens of the warp's 16 M from `first` on, normalised where the norm stands in front; where in
// a head's bias table each one's row begins, and the side of the seams it lies on.
template <class T, int M, int KB>
__device__ __forceinline__ void load_queries(uint32_t (&a)[M][KB][4], int (&query)[M][2], int (&side)[M][2],
                                             const AttentionSublayer<Tensor>& op, const SublayerJob& job,
                                             int n, int window_y, int window_x, int first, bool exists,
                                             int bias_w) {
#pragma unroll
  for (int m = 0; m < M; m++) {
    const T* pixel[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int t = first + m * 16 + lane_index() / 4 + 8 * half;
      const Place p = place_of(op, window_y, window_x, t, exists);
      pixel[half] = pixel_of<T>(op.x, n, p);
      side[m][half] = p.side;
      const int qy = t / op.window.w, qx = t % op.window.w;
      query[m][half] = p.exists ? (op.window.h - 1 - qy) * bias_w + op.window.w - 1 - qx : 0;
    }
    load_tokens(a[m], pixel, op.x.c, job.words_x);
    if (op.norm_at == NormAt::before) normalise_tokens<T>(a[m], op.norm, op.x.c, op.eps);
  }
}

template <class T, int DP>
struct Chunks {
  const AttentionSublayer<Tensor>& op;
  const SublayerJob& job;
  T* stages;
  __device__ __forceinline__ int count() const { return 3 * op.heads + (op.x.c + 31) / 32; }
  __device__ __forceinline__ void load(int chunk) const {
    T* stage = stages + chunk % job.stages * stage_elements(job);
    const int heads = op.heads, c = op.x.c, d = op.d, first = (chunk - 3 * heads) * 32;
    if (chunk < 3 * heads)
      copy_rows(stage, op.qkv, 0, job.blocks, (chunk % 3 + 1) % 3 * c + chunk / 3 * d, d, DP);
    else if (chunk < count())
      copy_rows(stage, op.proj, 0, job.blocks, first, c - first, 32);
    copy_commit();
  }
  __device__ __forceinline__ void begin() const {
    for (int chunk = 0; chunk < job.ahead; chunk++) load(chunk);
  }
  // Returns the chunk when it has arrived for all; all are done with the stage that is loaded next, and
  // what they wrote before is visible to all.
  __device__ __forceinline__ const T* arrive(int chunk) const {
    if (job.ahead == 2)
      copy_wait<1>();
    else
      copy_wait<0>();
    __syncthreads();
    load(chunk + job.ahead);
    return stages + chunk % job.stages * stage_elements(job);
  }
};

template <int M, int N>
__device__ __forceinline__ void start_with_bias(float (&sum)[M][N][4], const float* bias, int count) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    const int ch = i * 8 + lane_index() % 4 * 2;
    const float left = value_or_zero(bias, ch, count), right = value_or_zero(bias, ch + 1, count);
#pragma unroll
    for (int m = 0; m < M; m++) sum[m][i][0] = sum[m][i][2] = left, sum[m][i][1] = sum[m][i][3] = right;
  }
}

// What follows the last channel in the warp's rows of attended is multiplied too.
template <int Rows, class T>
__device__ __forceinline__ void clear_spare(T* rows, const SublayerJob& job, int c) {
  const int spare = job.blocks * 16 - c;
  for (int i = lane_index(); i < Rows * spare; i += 32) rows[i % Rows * job.row + c + i / Rows] = T{0};
}

enum class Part { q, k, v };  // as outputs of qkv follow each other

// q, k or v of a head for M times 16 tokens; q with what multiplies the logits, in units of log 2.
template <class T, int M, int KB, int N>
__device__ __forceinline__ void project_head(float (&sum)[M][N][4], const AttentionSublayer<Tensor>& op,
                                             const SublayerJob& job, const uint32_t (&a)[M][KB][4],
                                             const T* stage, int head, Part part) {
  start_with_bias(sum, op.qkv.bias ? op.qkv.bias + int(part) * op.x.c + head * op.d : nullptr, op.d);
  multiply<T>(sum, a, stage, job.blocks, N * 8);
#pragma unroll
  for (int m = 0; m < M; m++) {
    float factor[2] = {1, 1};
    if (op.cosine && part != Part::v) inverse_lengths(sum[m], factor);
    if (part == Part::q) {
      const float scale = (op.cosine ? op.bias.bias[head] : op.scale) * kLog2e;
      factor[0] *= scale, factor[1] *= scale;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
      for (int e = 0; e < 4; e++) sum[m][i][e] *= factor[e / 2];
  }
}

// Rows [first, first + 16 M) of keys or values.
template <class T, int M, int N>
__device__ __forceinline__ void store_keys(T* keys, int first, const float (&sum)[M][N][4]) {
  const int group = lane_index() / 4, pair = lane_index() % 4;
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
      for (int half = 0; half < 2; half++)
        *reinterpret_cast<uint32_t*>(keys + key_unit<N * 8>(first + m * 16 + group + 8 * half, i) +
                                     2 * pair) = pack2<T>(sum[m][i][2 * half], sum[m][i][2 * half + 1]);
}

// o / total, 16 tokens of a head, into their rows of attended.
template <class T, int N>
__device__ __forceinline__ void store_attended(T* rows, int row, int head, int d, const float (&o)[N][4],
                                               const float (&total)[2]) {
  const int group = lane_index() / 4, pair = lane_index() % 4;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float inverse = 1.0f / quad_sum(total[half]);
    T* to = rows + (group + 8 * half) * row + head * d;
#pragma unroll
    for (int i = 0; i < N; i++)
      store_pair(to, i * 8 + 2 * pair, d, d % 2 == 0, o[i][2 * half] * inverse, o[i][2 * half + 1] * inverse);
  }
}

// y = residual + proj(attended), with the norm behind it if there is one. `mine` are the warp's rows of
// attended, complete but for a barrier of the warp; place(i) is where its token i lies. The norm works on
// those rows, which are free by then. No barrier of the block follows the last chunk.
template <class T, int M, int KB, int DP, class PlaceOf>
__device__ __forceinline__ void project(const AttentionSublayer<Tensor>& op, const SublayerJob& job,
                                        const Chunks<T, DP>& weights, T* mine, uint32_t (&a)[M][KB][4], int n,
                                        const PlaceOf& place) {
  const int lane = lane_index(), group = lane / 4, pair = lane % 4, c = op.x.c;
  auto load_attended = [&] {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int kb = 0; kb < KB; kb++)
        if (kb < job.blocks)
          ldmatrix_x4(a[m][kb], mine + (m * 16 + lane % 16) * job.row + kb * 16 + lane / 16 * 8);
  };
  __syncwarp();
  load_attended();
  __syncwarp();
  const T* residual[M][2];
  T* out[M][2];
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const Place p = place(m * 16 + group + 8 * half);
      residual[m][half] = pixel_of<T>(op.residual, n, p);
      out[m][half] = const_cast<T*>(pixel_of<T>(op.y, n, p));
    }
#pragma unroll 1
  for (int chunk = 3 * op.heads; chunk < weights.count(); chunk++) {
    const T* stage = weights.arrive(chunk);
    const int first = (chunk - 3 * op.heads) * 32;
    float sum[M][4][4];
    start_with_bias(sum, op.proj.bias ? op.proj.bias + first : nullptr, c - first);
    multiply<T>(sum, a, stage, job.blocks, 32);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int ch = first + i * 8 + 2 * pair;
          const float left = sum[m][i][2 * half], right = sum[m][i][2 * half + 1];
          if (op.norm_at == NormAt::after) {
            store_pair(mine + (m * 16 + group + 8 * half) * job.row, ch, job.blocks * 16, true, left, right);
            continue;
          }
          const uint32_t r = load_pair(residual[m][half], ch, c, job.words_r);
          store_pair(out[m][half], ch, c, job.words_y, left + low<T>(r), right + high<T>(r));
        }
  }
  copy_wait<0>();
  if (op.norm_at != NormAt::after) return;

  __syncwarp();
  load_attended();
#pragma unroll
  for (int m = 0; m < M; m++) {
    const Moments moments[2] = {moments_of<T>(a[m], 0, c, op.eps), moments_of<T>(a[m], 1, c, op.eps)};
#pragma unroll
    for (int kb = 0; kb < KB; kb++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int ch = channel_of(kb, i);
        const uint32_t r = load_pair(residual[m][i % 2], ch, c, job.words_r);
        store_pair(out[m][i % 2], ch, c, job.words_y,
                   normalised(low<T>(a[m][kb][i]), moments[i % 2], op.norm, ch, c) + low<T>(r),
                   normalised(high<T>(a[m][kb][i]), moments[i % 2], op.norm, ch + 1, c) + high<T>(r));
      }
  }
}

}  // namespace ups::cuda
