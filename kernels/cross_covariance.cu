// CrossCovarianceAttention (kernels/gate_ops.h), naive: partial sums of q . k over runs of pixels, one block
// per run and head, a thread per pair of channels; one block per head adds them in order and takes the
// softmax; one thread per output element. Sums pass through the stream's workspace, in float.
#include "kernels/device/device.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

// Per head: d * d products, then the squares of q and of k.
__device__ __host__ constexpr int sums_of(int d) { return d * d + 2 * d; }

__global__ void covariance_sums(CrossCovarianceAttention<Tensor> op, float* partial, int length) {
  const int head = int(blockIdx.x), n = int(blockIdx.z), d = op.d, width = op.y.c;
  const int64_t pixels = int64_t(op.x.h) * op.x.w, begin = int64_t(blockIdx.y) * length;
  const int64_t end = begin + length < pixels ? begin + length : pixels;
  float* to = partial + ((int64_t(n) * gridDim.y + blockIdx.y) * op.heads + head) * sums_of(d);
  for (int i = int(threadIdx.x); i < sums_of(d); i += int(blockDim.x)) {
    // Channels a and b of the pixel: q_i k_j, q_i q_i or k_i k_i.
    const int c = i - d * d;
    const int a = c < 0 ? head * d + i / d : (c < d ? 0 : width) + head * d + c % d;
    const int b = c < 0 ? width + head * d + i % d : a;
    float sum = 0;
    for (int64_t p = begin; p < end; p++) {
      const int64_t at = n * op.x.image + p / op.x.w * op.x.row + p % op.x.w * op.x.px;
      sum += load_element(op.x, at + a) * load_element(op.x, at + b);
    }
    to[i] = sum;
  }
}

// a[n, head, i, j], the softmax over j. `sums` [n, head] is room for the totals.
__global__ void covariance_softmax(CrossCovarianceAttention<Tensor> op, const float* partial, int chunks,
                                   float* sums, float* a) {
  const int head = int(blockIdx.x), n = int(blockIdx.y), d = op.d;
  sums += (int64_t(n) * op.heads + head) * sums_of(d);
  a += (int64_t(n) * op.heads + head) * d * d;
  for (int i = int(threadIdx.x); i < sums_of(d); i += int(blockDim.x)) {
    float sum = 0;
    for (int k = 0; k < chunks; k++)
      sum += partial[((int64_t(n) * chunks + k) * op.heads + head) * sums_of(d) + i];
    sums[i] = sum;
  }
  __syncthreads();
  const float t = static_cast<const float*>(op.t.w)[head];
  for (int i = int(threadIdx.x); i < d; i += int(blockDim.x)) {
    const float q = fmaxf(sqrtf(sums[d * d + i]), 1e-12f);
    float largest = -INFINITY, sum = 0;
    for (int j = 0; j < d; j++) {
      const float logit = t * sums[i * d + j] / q / fmaxf(sqrtf(sums[d * d + d + j]), 1e-12f);
      a[i * d + j] = logit;
      largest = fmaxf(largest, logit);
    }
    for (int j = 0; j < d; j++) sum += a[i * d + j] = expf(a[i * d + j] - largest);
    for (int j = 0; j < d; j++) a[i * d + j] /= sum;
  }
}

__global__ void covariance_apply(CrossCovarianceAttention<Tensor> op, const float* a) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = int64_t(op.y.w) * op.y.c;
  if (i >= row * op.y.h) return;
  const int n = int(blockIdx.y), c = int(i % op.y.c), head = c / op.d;
  const int64_t y = i / row, x = i % row / op.y.c;
  const int64_t v = n * op.x.image + y * op.x.row + x * op.x.px + 2 * op.y.c + head * op.d;
  a += ((int64_t(n) * op.heads + head) * op.d + c % op.d) * op.d;
  float sum = 0;
  for (int j = 0; j < op.d; j++) sum += a[j] * load_element(op.x, v + j);
  store_element(op.y, n * op.y.image + y * op.y.row + x * op.y.px + c, sum);
}

}  // namespace

void run(const CrossCovarianceAttention<Tensor>& op, Stream& stream, Rows) {
  check(op.x.data && op.y.data && op.t.w && op.t.dtype == DType::f32 && op.t.cout == op.heads &&
            op.y.n == op.x.n && op.y.n <= 65535 && op.y.extent() == op.x.extent() &&
            op.y.c == op.heads * op.d && op.x.c == 3 * op.y.c,
        Code::device, "cross_covariance_attention: got x [", op.x.h, ", ", op.x.w, ", ", op.x.c, "] and y [",
        op.y.h, ", ", op.y.w, ", ", op.y.c, "] for ", op.heads, " heads of ", op.d);
  const int64_t pixels = op.x.extent().pixels(), maps = int64_t(op.y.n) * op.heads;
  const int64_t unit = maps * sums_of(op.d), fixed = unit + maps * op.d * op.d;
  const int64_t room = int64_t(Stream::kWorkspaceBytes / sizeof(float)) - fixed;
  check(room >= unit, Code::device, "cross_covariance_attention: ", op.heads, " heads of ", op.d,
        " channels need more than the workspace of ", Stream::kWorkspaceBytes, " bytes");
  int64_t chunks = (pixels + 63) / 64;
  if (chunks > 64) chunks = 64;
  if (chunks > room / unit) chunks = room / unit;
  const int length = int((pixels + chunks - 1) / chunks);
  float* a = static_cast<float*>(stream.workspace());
  float *sums = a + maps * op.d * op.d, *partial = sums + unit;
  launch(
      covariance_sums,
      {.grid = {unsigned(op.heads), unsigned(chunks), unsigned(op.y.n)}, .block = kBlock, .stream = &stream},
      op, partial, length);
  launch(covariance_softmax,
         {.grid = {unsigned(op.heads), unsigned(op.y.n)}, .block = kBlock, .stream = &stream}, op, partial,
         int(chunks), sums, a);
  const int64_t count = op.y.extent().pixels() * op.y.c;
  launch(covariance_apply,
         {.grid = {unsigned((count + kBlock - 1) / kBlock), unsigned(op.y.n)},
          .block = kBlock,
          .stream = &stream},
         op, a);
}

}  // namespace ups::cuda
