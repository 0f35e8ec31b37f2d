// Attention (kernels/ops.h) on tensor cores: one head of up to 512 channels, f16 or bf16, sums in f32.
//
//   A block of 8 warps owns M = 64 or 32 queries and their sums, M x D f32 in registers: warp i has all rows
//   and the i-th eighth of the value channels. Keys pass in tiles of 64; scores never leave the block.
//   Per tile, in eight chunks of 32 D bytes that a ring of cp.async copies keeps ahead of:
//     1-4  scores = Q K^T, a quarter of the channels per chunk. A warp multiplies half of the queries, half
//          of the keys and half of the channels: M/2 x 32 scores from as many bytes of Q as of K. The two
//          halves of the channels meet in shared memory, each warp finishing 16 of the keys.
//          Then the softmax, as it streams (Milakov and Gimelshein 2018): maximum of the tile, weights 2^(s -
//          maximum) to shared memory in 16 bits, and the factor by which the sums so far fade.
//     5-8  sums = sums * fade + weights V, 16 keys per chunk.
//   The order of all sums is fixed. Channels beyond those of the image are zeros.
#include "kernels/device/copy.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/device/quad.cuh"
#include "kernels/pixel_attention_variants.h"

namespace ups::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kKeys = 64, kChunks = 8;  // of a tile
constexpr float kLowest = -1e30f;       // below every score, and 2^(kLowest - score) = 0

struct Job {
  int first, end;    // queries
  float scale_log2;  // scores are exponents of two
};

template <int D, int M>
struct Smem {
  static constexpr int kStages = M == 64 ? 4 : 3, kStageBytes = 32 * D;
  alignas(128) char q[M * D * 2];            // [query][D]
  alignas(128) char weights[M * kKeys * 2];  // [query][key]
  alignas(128) char stage[kStages][kStageBytes];
  alignas(16) float partial[kWarps][M / 32 * 2 * 4 * 32];  // the scores a warp leaves to its partner
  float most[4][M], fade[M];
};

// Byte offset of 16-byte unit `unit` in row `row` of an array of rows of U units: any eight consecutive rows
// have a unit in different banks.
template <int U>
__device__ __forceinline__ int swizzled(int row, int unit) {
  return (row * U + (unit ^ (U >= 8 ? row & 7 : row / 2 & 3))) * 16;
}

// What a thread of a block holds, and the phases it goes through.
template <class T, int D, int M>
struct Block {
  using S = Smem<D, M>;
  static constexpr int kStages = S::kStages, kTiles = M / 32;  // 16-row tiles of half of the queries

  S& s;
  const Attention<Tensor>& op;
  const Job& job;
  const int tid = int(threadIdx.x), lane = lane_index(), warp = warp_index();
  const int row_half = warp & 1, key_half = warp >> 1 & 1, d_half = warp >> 2;
  const int own = key_half * 2 + d_half;  // which 16 keys of a tile this warp finishes
  const int tokens = op.k.h * op.k.w, chunks = (tokens + kKeys - 1) / kKeys * kChunks;
  const int query0 = job.first + int(blockIdx.x) * M, image = int(blockIdx.y);
  const T* const q = static_cast<const T*>(op.x.data) + image * op.x.image;
  const T* const k = static_cast<const T*>(op.k.data) + image * op.k.image;
  const T* const v = static_cast<const T*>(op.v.data) + image * op.v.image;

  float out[M / 16][D / 64][4];
  // Of the rows this thread has scores of, see row(): the maximum, and the sum of its own weights.
  float highest[kTiles][2], total[kTiles][2];

  __device__ __forceinline__ Block(S& s, const Attention<Tensor>& op, const Job& job)
      : s(s), op(op), job(job) {
#pragma unroll
    for (int m = 0; m < M / 16; m++)
#pragma unroll
      for (int n = 0; n < D / 64; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) out[m][n][i] = 0;
#pragma unroll
    for (int m = 0; m < kTiles; m++) highest[m][0] = highest[m][1] = kLowest, total[m][0] = total[m][1] = 0;
  }

  // The query of score 2 * half of tile m.
  __device__ __forceinline__ int row(int m, int half) const {
    return row_half * (M / 2) + m * 16 + half * 8 + lane / 4;
  }

  __device__ __forceinline__ void load_queries() {
    for (int u = tid; u < M * D / 8; u += kThreads) {
      const int row = u / (D / 8), unit = u % (D / 8);
      const bool exists = query0 + row < job.end && unit * 8 < op.x.c;
      copy_async<16>(s.q + swizzled<D / 8>(row, unit), exists ? q + (query0 + row) * op.x.px + unit * 8 : q,
                     exists ? 16 : 0);
    }
  }

  __device__ __forceinline__ void load(int chunk) {
    const int key0 = chunk / kChunks * kKeys, part = chunk % kChunks;
    char* const to = s.stage[chunk % kStages];
    if (part < 4) {  // 64 keys x two runs of D / 8 channels, one of each half
      constexpr int kUnits = D / 32, kRun = D / 64;
#pragma unroll
      for (int u = tid; u < kKeys * kUnits; u += kThreads) {
        const int row = u / kUnits, unit = u % kUnits;
        const int c = unit / kRun * (D / 2) + part * (D / 8) + unit % kRun * 8;
        const bool exists = key0 + row < tokens && c < op.k.c;
        copy_async<16>(to + swizzled<kUnits>(row, unit), exists ? k + (key0 + row) * op.k.px + c : k,
                       exists ? 16 : 0);
      }
    } else {  // 16 keys x D channels
      constexpr int kUnits = D / 8;
      const int first = key0 + (part - 4) * 16;
#pragma unroll
      for (int u = tid; u < 16 * kUnits; u += kThreads) {
        const int row = u / kUnits, unit = u % kUnits;
        const bool exists = first + row < tokens && unit * 8 < op.v.c;
        copy_async<16>(to + swizzled<kUnits>(row, unit), exists ? v + (first + row) * op.v.px + unit * 8 : v,
                       exists ? 16 : 0);
      }
    }
  }

  __device__ __forceinline__ void start() {
    load_queries();
    for (int i = 0; i < kStages - 1; i++) {
      load(i);  // there are eight chunks at least
      copy_commit();
    }
  }

  // Ends with chunk `chunk` there for all, and all done with the one before, whose place the next load takes.
  __device__ __forceinline__ const char* turn(int chunk) {
    copy_wait<kStages - 2>();
    __syncthreads();
    if (chunk + kStages - 1 < chunks) load(chunk + kStages - 1);
    copy_commit();
    return s.stage[chunk % kStages];
  }

  // Chunks 1-4: this warp's part of the scores.
  __device__ __forceinline__ void multiply_keys(int chunk, float (&score)[kTiles][4][4]) {
#pragma unroll
    for (int m = 0; m < kTiles; m++)
#pragma unroll
      for (int n = 0; n < 4; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) score[m][n][i] = 0;
#pragma unroll 1
    for (int part = 0; part < 4; part++) {
      const char* const keys = turn(chunk + part);
#pragma unroll
      for (int step = 0; step < D / 128; step++) {
        uint32_t a[kTiles][4];
#pragma unroll
        for (int m = 0; m < kTiles; m++)
          ldmatrix_x4(a[m],
                      s.q + swizzled<D / 8>(row_half * (M / 2) + m * 16 + lane % 16,
                                            d_half * (D / 16) + part * (D / 64) + step * 2 + lane / 16));
#pragma unroll
        for (int n = 0; n < 2; n++) {
          uint32_t b[4];
          ldmatrix_x4(b, keys + swizzled<D / 32>(key_half * 32 + n * 16 + lane / 16 * 8 + lane % 8,
                                                 d_half * (D / 64) + step * 2 + lane / 8 % 2));
#pragma unroll
          for (int m = 0; m < kTiles; m++) {
            mma_m16n8k16<T>(score[m][2 * n], a[m], b[0], b[1]);
            mma_m16n8k16<T>(score[m][2 * n + 1], a[m], b[2], b[3]);
          }
        }
      }
    }
  }

  // The halves of the channels meet: this warp keeps its own 16 keys, and gives the other 16 to its partner.
  // Leaves exponents, and what is highest among them in shared memory.
  __device__ __forceinline__ void join_halves(int chunk, const float (&score)[kTiles][4][4],
                                              float (&mine)[kTiles][2][4]) {
#pragma unroll
    for (int m = 0; m < kTiles; m++)
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          s.partial[warp][((m * 2 + n) * 4 + i) * 32 + lane] = d_half ? score[m][n][i] : score[m][2 + n][i];
          mine[m][n][i] = d_half ? score[m][2 + n][i] : score[m][n][i];
        }
    __syncthreads();
    const int key = chunk / kChunks * kKeys + own * 16 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < kTiles; m++) {
      float most[2] = {kLowest, kLowest};
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          float& x = mine[m][n][i];
          x = (x + s.partial[warp ^ 4][((m * 2 + n) * 4 + i) * 32 + lane]) * job.scale_log2;
          if (key + n * 8 + i % 2 >= tokens) x = kLowest;
          most[i / 2] = fmaxf(most[i / 2], x);
        }
#pragma unroll
      for (int half = 0; half < 2; half++) {
        most[half] = quad_max(most[half]);
        if (lane % 4 == 0) s.most[own][row(m, half)] = most[half];
      }
    }
    __syncthreads();
  }

  // Weights, and the factors by which the sums so far fade, to shared memory.
  __device__ __forceinline__ void soften(const float (&exponent)[kTiles][2][4]) {
#pragma unroll
    for (int m = 0; m < kTiles; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = row(m, half);
        float now = highest[m][half];
#pragma unroll
        for (int i = 0; i < 4; i++) now = fmaxf(now, s.most[i][query]);
        const float fade = exp2f(highest[m][half] - now);
        highest[m][half] = now;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < 2; n++) {
          const float w0 = exp2f(exponent[m][n][half * 2] - now),
                      w1 = exp2f(exponent[m][n][half * 2 + 1] - now);
          sum += w0 + w1;
          *reinterpret_cast<uint32_t*>(s.weights + swizzled<kKeys / 8>(query, own * 2 + n) + lane % 4 * 4) =
              pack2<T>(w0, w1);
        }
        total[m][half] = total[m][half] * fade + sum;
        if (own == 0 && lane % 4 == 0) s.fade[query] = fade;
      }
  }

  __device__ __forceinline__ void fade_sums() {
#pragma unroll
    for (int m = 0; m < M / 16; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float fade = s.fade[m * 16 + half * 8 + lane / 4];
        if (fade == 1) continue;  // mostly, after the first tiles
#pragma unroll
        for (int n = 0; n < D / 64; n++) out[m][n][half * 2] *= fade, out[m][n][half * 2 + 1] *= fade;
      }
  }

  // Chunks 5-8.
  __device__ __forceinline__ void multiply_values(int chunk) {
#pragma unroll 1
    for (int part = 0; part < 4; part++) {
      const char* const values = turn(chunk + 4 + part);  // its barrier publishes weights and fade
      if (part == 0) fade_sums();
      uint32_t a[M / 16][4];
#pragma unroll
      for (int m = 0; m < M / 16; m++)
        ldmatrix_x4(a[m], s.weights + swizzled<kKeys / 8>(m * 16 + lane % 16, part * 2 + lane / 16));
#pragma unroll
      for (int n = 0; n < D / 128; n++) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, values + swizzled<D / 8>(lane % 16, warp * (D / 64) + n * 2 + lane / 16));
#pragma unroll
        for (int m = 0; m < M / 16; m++) {
          mma_m16n8k16<T>(out[m][2 * n], a[m], b[0], b[1]);
          mma_m16n8k16<T>(out[m][2 * n + 1], a[m], b[2], b[3]);
        }
      }
    }
  }

  // Sums over the sums of weights, of which four lanes and four warps have parts of each row's.
  __device__ __forceinline__ void store() {
#pragma unroll
    for (int m = 0; m < kTiles; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float sum = quad_sum(total[m][half]);
        if (lane % 4 == 0) s.most[own][row(m, half)] = sum;
      }
    __syncthreads();
    T* const y = static_cast<T*>(op.y.data) + image * op.y.image;
#pragma unroll
    for (int m = 0; m < M / 16; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = m * 16 + half * 8 + lane / 4;
        if (query0 + query >= job.end) continue;
        const float all = s.most[0][query] + s.most[1][query] + (s.most[2][query] + s.most[3][query]);
#pragma unroll
        for (int n = 0; n < D / 64; n++) {
          const int c = warp * (D / 8) + n * 8 + lane % 4 * 2;
          if (c < op.y.c)
            *reinterpret_cast<uint32_t*>(y + (query0 + query) * op.y.px + c) =
                pack2<T>(out[m][n][half * 2] / all, out[m][n][half * 2 + 1] / all);
        }
      }
  }
};

template <class T, int D, int M>
__global__ void __launch_bounds__(kThreads, 1) attention_mma(Attention<Tensor> op, Job job) {
  Block<T, D, M> block(shared<Smem<D, M>>(), op, job);
  block.start();
#pragma unroll 1
  for (int chunk = 0; chunk < block.chunks; chunk += kChunks) {
    float score[M / 32][4][4], mine[M / 32][2][4];
    block.multiply_keys(chunk, score);
    block.join_halves(chunk, score, mine);
    block.soften(mine);
    block.multiply_values(chunk);
  }
  copy_wait<0>();
  block.store();
}

template <class T, int D, int M>
void launch_tile(const Attention<Tensor>& op, Stream& stream, const Job& job) {
  launch(attention_mma<T, D, M>,
         {.grid = {unsigned((job.end - job.first + M - 1) / M), unsigned(op.x.n)},
          .block = kThreads,
          .smem_bytes = sizeof(Smem<D, M>),
          .stream = &stream},
         op, job);
}

template <class T>
void launch_dtype(const Attention<Tensor>& op, Stream& stream, const Job& job) {
  if (op.x.c <= 128 && op.v.c <= 128) return launch_tile<T, 128, 32>(op, stream, job);
  // 64 queries read K and V half as often as 32, if the device has the room, and enough of them to go round.
  const DeviceInfo& device = stream.device();
  const bool wide = device.smem_bytes >= int(sizeof(Smem<512, 64>)) &&
                    int64_t(job.end - job.first) * op.x.n >= int64_t(64) * device.num_sms;
  wide ? launch_tile<T, 512, 64>(op, stream, job) : launch_tile<T, 512, 32>(op, stream, job);
}

void launch_mma(const Attention<Tensor>& op, Stream& stream, Rows rows) {
  const Job job{rows.begin * op.x.w, rows.end * op.x.w, op.scale * 1.44269504f};
  op.x.dtype == DType::f16 ? launch_dtype<half_t>(op, stream, job) : launch_dtype<bf16_t>(op, stream, job);
}

const char* mma_declines(const Attention<Tensor>& op, const DeviceInfo& device) {
  if (device.sm < 80) return "needs sm_80 or newer";
  if (device.smem_bytes < int(sizeof(Smem<512, 32>))) return "needs more shared memory than the device has";
  if (op.x.c > 512 || op.v.c > 512) return "needs at most 512 channels";
  for (const Tensor* t : {&op.x, &op.k, &op.v, &op.y}) {
    if (t->dtype == DType::f32 || t->dtype != op.x.dtype) return "needs 16-bit tensors of one dtype";
    if (t->c % 8 || t->px % 8 || t->image % 8 || reinterpret_cast<uintptr_t>(t->data) % 16)
      return "needs pixels and channels on multiples of 16 bytes";
    if (t->row != t->w * t->px) return "needs rows without gaps";
  }
  return nullptr;
}

}  // namespace

const AttentionVariant kAttentionMma = {"mma", mma_declines, launch_mma};

}  // namespace ups::cuda
