// Attention (kernels/ops.h) with a streaming softmax: the device's own reference, for any d and dtype.
//
// A block serves one query. Per step of 128 keys each thread scores one key; maximum and sum run over the
// block; then the threads share the value channels, dv / 128 (rounded up) sums each, in registers.
#include "kernels/device/device.cuh"
#include "kernels/device/reduce.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kMostChannels = 8;  // of v, per thread: dv <= 1024

struct Smem {
  float weight[kThreads];
  float scratch[kWarps];
};

__device__ __forceinline__ float block_max(float v, float* scratch) {
  v = warp_max(v);
  __syncthreads();
  if (lane_index() == 0) scratch[warp_index()] = v;
  __syncthreads();
  float most = scratch[0];
  for (int i = 1; i < kWarps; i++) most = fmaxf(most, scratch[i]);
  __syncthreads();
  return most;
}

// Token t of an image whose rows are `row` and pixels `px` elements apart.
__device__ __forceinline__ int64_t token(const Tensor& x, int t) {
  return int64_t(t / x.w) * x.row + int64_t(t % x.w) * x.px;
}

__global__ void attention(Attention<Tensor> op, int first) {
  Smem& s = shared<Smem>();
  const int tid = int(threadIdx.x), query = first + int(blockIdx.x), tokens = op.x.h * op.x.w;
  const int64_t q = token(op.x, query);
  float highest = -1e30f, total = 0, out[kMostChannels] = {};
  for (int key = 0; key < tokens; key += kThreads) {
    float score = -1e30f;
    if (key + tid < tokens) {
      const int64_t k = token(op.k, key + tid);
      float sum = 0;
      for (int c = 0; c < op.x.c; c++) sum += load_element(op.x, q + c) * load_element(op.k, k + c);
      score = sum * op.scale;
    }
    const float most = fmaxf(highest, block_max(score, s.scratch));
    const float weight = key + tid < tokens ? expf(score - most) : 0.0f;
    s.weight[tid] = weight;
    const float fade = expf(highest - most);
    total = total * fade + block_sum<kWarps>(weight, s.scratch);  // its barriers publish the weights
    highest = most;
    const int keys = min(kThreads, tokens - key);
    for (int i = 0; i < kMostChannels; i++) {
      const int c = tid + i * kThreads;
      if (c >= op.v.c) break;
      float sum = 0;
      for (int j = 0; j < keys; j++) sum += s.weight[j] * load_element(op.v, token(op.v, key + j) + c);
      out[i] = out[i] * fade + sum;
    }
    __syncthreads();  // before the weights are overwritten
  }
  for (int i = 0; i < kMostChannels; i++) {
    const int c = tid + i * kThreads;
    if (c < op.v.c) store_element(op.y, token(op.y, query) + c, out[i] / total);
  }
}

}  // namespace

void run(const Attention<Tensor>& op, Stream& stream, Rows rows) {
  for (const Tensor* t : {&op.x, &op.k, &op.v, &op.y})
    check(t->data && t->n == 1 && t->extent() == op.x.extent(), Code::device, "attention: got an operand [",
          t->n, ", ", t->h, ", ", t->w, ", ", t->c, "], expected one image of q's extent");
  check(op.x.c == op.k.c && op.v.c == op.y.c && op.v.c <= kMostChannels * kThreads, Code::device,
        "attention: got q ", op.x.c, ", k ", op.k.c, ", v ", op.v.c, ", y ", op.y.c,
        " channels, expected q as k, v as y, and at most ", kMostChannels * kThreads, " of v");
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.y.h ? rows.end : op.y.h;
  if (begin >= end) return;
  launch(attention,
         {.grid = {unsigned(end - begin) * unsigned(op.x.w)},
          .block = kThreads,
          .smem_bytes = sizeof(Smem),
          .stream = &stream},
         op, begin * op.x.w);
}

}  // namespace ups::cuda
