// Separable resampling with the tables of kernels/resize.h: rows, then columns (kernels/device/picture.h).
// One thread per output sample; neighbours share their taps, so the caches serve all but the first read.
#include "kernels/device/picture.h"
#include "kernels/device/sample.cuh"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;
// Sums of more taps than this are formed in blocks, as on the host: the error grows with their number, not
// with that of all taps.
constexpr int kTaps = 64;

// The weighted sum of x[at + k * step], k < count.
template <class Load>
__device__ __forceinline__ float weighted_sum(const float* weights, int count, Load&& load) {
  float sum = 0;
  for (int k0 = 0; k0 < count; k0 += kTaps) {
    const int k1 = min(count, k0 + kTaps);
    float part = 0;
    for (int k = k0; k < k1; k++) part += weights[k] * load(k);
    sum += part;
  }
  return sum;
}

__global__ void resize_rows(ResizeRows op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t row = int64_t(op.y.w) * op.y.c;
  if (i >= row * op.y.h) return;
  const int y = int(i / row), x = int(i % row) / op.y.c, c = int(i % row) % op.y.c;
  const int64_t at = y * op.x.row + op.taps.first[x] * op.x.px + c;
  static_cast<float*>(op.y.data)[y * op.y.row + x * op.y.px + c] =
      weighted_sum(op.taps.weights + int64_t(x) * op.taps.max_count, op.taps.count[x],
                   [&](int k) { return load_element(op.x, at + k * op.x.px); });
}

__global__ void resize_columns(ResizeColumns op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t row = int64_t(op.image.w) * op.image.c;
  if (i >= row * op.image.h) return;
  const int y = int(i / row), x = int(i % row) / op.image.c, c = int(i % row) % op.image.c;
  const int out = op.first_row + y;
  const float* from = static_cast<const float*>(op.x.data) + op.taps.first[out] * op.x.row + x * op.x.px + c;
  const float v = weighted_sum(op.taps.weights + int64_t(out) * op.taps.max_count, op.taps.count[out],
                               [&](int k) { return from[k * op.x.row]; });
  store_sample(static_cast<char*>(op.image.data) + y * op.image.stride_bytes, op.image.depth, i % row, v);
}

unsigned blocks_for(int64_t count) { return unsigned((count + kBlock - 1) / kBlock); }

bool present(const DeviceTaps& t) { return t.first && t.count && t.weights && t.max_count >= 1; }

}  // namespace

void run(const ResizeRows& op, Stream& stream) {
  check(op.x.data && op.y.data && op.y.dtype == DType::f32 && op.x.h == op.y.h && op.x.c == op.y.c &&
            present(op.taps),
        Code::device, "resize_rows: got ", op.x.h, " rows of ", op.x.c, " channels for ", op.y.h, " of ",
        op.y.c, ", expected as many, of f32");
  if (op.y.h < 1) return;
  launch(resize_rows,
         {.grid = {blocks_for(int64_t(op.y.h) * op.y.w * op.y.c)}, .block = kBlock, .stream = &stream}, op);
}

void run(const ResizeColumns& op, Stream& stream) {
  check(op.x.data && op.image.data && op.x.dtype == DType::f32 && op.x.w == op.image.w &&
            op.x.c == op.image.c && op.first_row >= 0 && present(op.taps),
        Code::device, "resize_columns: got rows of ", op.x.w, " px and ", op.x.c, " channels for ",
        op.image.w, " px and ", op.image.c, ", expected as many, of f32");
  if (op.image.h < 1) return;
  launch(resize_columns,
         {.grid = {blocks_for(int64_t(op.image.h) * op.image.w * op.image.c)},
          .block = kBlock,
          .stream = &stream},
         op);
}

}  // namespace ups::cuda
