// Attention (kernels/ops.h): the choice of a variant, and the plain one, for any dtype.
//
// plain: a streaming softmax without tensor cores, the device's own reference and the way of f32. A block
//   serves 8 queries. Per step of 128 keys each thread scores one key for all of them; maxima and sums run
//   over the block; then the threads share the value channels, 8 sums for each of theirs.
#include <algorithm>

#include "kernels/device/device.cuh"
#include "kernels/device/reduce.cuh"
#include "kernels/pixel_attention_variants.h"

namespace ups::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kQueries = 8;
constexpr int kMostD = 1024, kMostChannels = 1024;  // of q and k; of v and y

struct Smem {
  float q[kQueries][kMostD];
  float weight[kThreads][kQueries];
  float out[kQueries][kMostChannels];  // unnormalised
  float scratch[kQueries][kWarps];
  float fade[kQueries];
};

// f(values of all lanes) for each of the queries at once; every thread gets all results.
template <class F>
__device__ __forceinline__ void over_block(float (&v)[kQueries], Smem& s, F&& f) {
#pragma unroll
  for (int i = 0; i < kQueries; i++)
#pragma unroll
    for (int mask = 16; mask; mask >>= 1) v[i] = f(v[i], shuffle_xor(v[i], mask));
  __syncthreads();  // nobody still reads the scratch, or the weights
  if (lane_index() == 0)
    for (int i = 0; i < kQueries; i++) s.scratch[i][warp_index()] = v[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kQueries; i++) {
    v[i] = s.scratch[i][0];
    for (int j = 1; j < kWarps; j++) v[i] = f(v[i], s.scratch[i][j]);
  }
}

// Token t of image n, whose rows are `row` and pixels `px` elements apart.
__device__ __forceinline__ int64_t token(const Tensor& x, int n, int t) {
  return n * x.image + int64_t(t / x.w) * x.row + int64_t(t % x.w) * x.px;
}

__global__ void attention(Attention<Tensor> op, int first, int last) {
  Smem& s = shared<Smem>();
  const int tid = int(threadIdx.x), query = first + int(blockIdx.x) * kQueries, n = int(blockIdx.y);
  const int tokens = op.k.h * op.k.w, d = op.x.c, dv = op.v.c, queries = min(kQueries, last - query);
  for (int i = 0; i < kQueries; i++) {
    for (int c = tid; c < d; c += kThreads)
      s.q[i][c] = i < queries ? load_element(op.x, token(op.x, n, query + i) + c) : 0.0f;
    for (int c = tid; c < dv; c += kThreads) s.out[i][c] = 0;
  }
  __syncthreads();
  float highest[kQueries], total[kQueries];
  for (int i = 0; i < kQueries; i++) highest[i] = -1e30f, total[i] = 0;
  for (int key = 0; key < tokens; key += kThreads) {
    const bool exists = key + tid < tokens;
    float score[kQueries] = {}, most[kQueries], weight[kQueries];
    if (exists) {
      const int64_t k = token(op.k, n, key + tid);
      for (int c = 0; c < d; c++) {
        const float factor = load_element(op.k, k + c);
#pragma unroll
        for (int i = 0; i < kQueries; i++) score[i] += s.q[i][c] * factor;
      }
    }
#pragma unroll
    for (int i = 0; i < kQueries; i++) most[i] = score[i] = exists ? score[i] * op.scale : -1e30f;
    over_block(most, s, [](float a, float b) { return fmaxf(a, b); });
#pragma unroll
    for (int i = 0; i < kQueries; i++) {
      most[i] = fmaxf(most[i], highest[i]);
      weight[i] = exists ? expf(score[i] - most[i]) : 0.0f;
      s.weight[tid][i] = weight[i];
      const float fade = expf(highest[i] - most[i]);
      if (tid == 0) s.fade[i] = fade;
      total[i] *= fade;
      highest[i] = most[i];
    }
    over_block(weight, s, [](float a, float b) { return a + b; });  // its barriers publish weights and fade
#pragma unroll
    for (int i = 0; i < kQueries; i++) total[i] += weight[i];
    const int keys = min(kThreads, tokens - key);
    for (int c = tid; c < dv; c += kThreads) {
      float sum[kQueries];
#pragma unroll
      for (int i = 0; i < kQueries; i++) sum[i] = s.out[i][c] * s.fade[i];
      for (int j = 0; j < keys; j++) {
        const float value = load_element(op.v, token(op.v, n, key + j) + c);
#pragma unroll
        for (int i = 0; i < kQueries; i++) sum[i] += s.weight[j][i] * value;
      }
#pragma unroll
      for (int i = 0; i < kQueries; i++) s.out[i][c] = sum[i];
    }
  }
  // Each thread wrote and reads the channels of its own.
#pragma unroll
  for (int i = 0; i < kQueries; i++)
    if (i < queries)
      for (int c = tid; c < dv; c += kThreads)
        store_element(op.y, token(op.y, n, query + i) + c, s.out[i][c] / total[i]);
}

void launch_plain(const Attention<Tensor>& op, Stream& stream, Rows rows) {
  const int first = rows.begin * op.x.w, last = rows.end * op.x.w;
  launch(attention,
         {.grid = {unsigned(last - first + kQueries - 1) / kQueries, unsigned(op.x.n)},
          .block = kThreads,
          .smem_bytes = sizeof(Smem),
          .stream = &stream},
         op, first, last);
}

const char* accepts_all(const Attention<Tensor>&, const DeviceInfo&) { return nullptr; }

}  // namespace

std::span<const AttentionVariant> attention_variants() {
  static const AttentionVariant variants[] = {
#if !defined(UPS_WITHOUT_SM90)
    kAttentionWgmma,
#endif
    kAttentionMma,
    {"plain", accepts_all, launch_plain}
  };
  return variants;
}

const char* variant_name(const Attention<Tensor>& op, const DeviceInfo& device) {
  return select("attention", attention_variants(), op, device).name;
}

void run(const Attention<Tensor>& op, Stream& stream, Rows rows) {
  for (const Tensor* t : {&op.x, &op.k, &op.v, &op.y})
    check(t->data && t->n == op.x.n && t->n <= 65535 && t->extent() == op.x.extent(), Code::device,
          "attention: got an operand [", t->n, ", ", t->h, ", ", t->w, ", ", t->c,
          "], expected q's images and extent");
  check(op.x.c == op.k.c && op.v.c == op.y.c && op.x.c <= kMostD && op.v.c <= kMostChannels, Code::device,
        "attention: got q ", op.x.c, ", k ", op.k.c, ", v ", op.v.c, ", y ", op.y.c,
        " channels, expected q as k, v as y, and at most ", kMostD);
  check(op.x.extent().pixels() < (int64_t(1) << 31) - 256, Code::device, "attention: got ", op.x.h, "x",
        op.x.w, " pixels, expected less than 2^31");
  rows.begin = std::max(rows.begin, 0);
  rows.end = std::min(rows.end, op.y.h);
  if (rows.begin >= rows.end) return;
  select("attention", attention_variants(), op, stream.device()).launch(op, stream, rows);
}

}  // namespace ups::cuda
