// GroupStats and GroupNorm (kernels/ops.h). One block per group sums its channels over the rows of the call
// in double, each thread in an order of its own and the threads by a tree, so results repeat from run to run;
// normalising is one thread per element.
#include "kernels/device/device.cuh"
#include "kernels/device/epilogue.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

struct Sums {
  double sum[kBlock], square[kBlock];
};

__global__ void group_stats(GroupStats<Tensor> op, int begin, int end) {
  Sums& s = shared<Sums>();
  const int tid = int(threadIdx.x), group = int(blockIdx.x), size = op.x.c / op.groups;
  const int64_t count = int64_t(end - begin) * op.x.w * size;
  double sum = 0, square = 0;
  for (int64_t i = tid; i < count; i += kBlock) {
    const int64_t pixel = i / size;
    const int64_t at =
        (begin + pixel / op.x.w) * op.x.row + pixel % op.x.w * op.x.px + group * size + i % size;
    const double v = load_element(op.x, at);
    sum += v, square += v * v;
  }
  s.sum[tid] = sum, s.square[tid] = square;
  __syncthreads();
  for (int half = kBlock / 2; half; half /= 2) {
    if (tid < half) s.sum[tid] += s.sum[tid + half], s.square[tid] += s.square[tid + half];
    __syncthreads();
  }
  if (tid == 0) {
    double* out = static_cast<double*>(op.y.data) + 2 * group;
    out[0] = (begin ? out[0] : 0) + s.sum[0];
    out[1] = (begin ? out[1] : 0) + s.square[0];
  }
}

__global__ void group_norm(GroupNorm<Tensor> op, int begin, int rows) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = int64_t(op.y.w) * op.y.c;
  if (i >= row * rows) return;
  const int y = begin + int(i / row), x = int(i % row) / op.y.c, c = int(i % row) % op.y.c;
  const int size = op.x.c / op.groups;
  const double* stats = static_cast<const double*>(op.stats.data) + 2 * (c / size);
  const double n = double(op.x.h) * op.x.w * size, mean = stats[0] / n;
  double variance = stats[1] / n - mean * mean;
  if (variance < 0) variance = 0;
  const float scale = float(static_cast<const float*>(op.w.w)[c] / sqrt(variance + double(op.eps)));
  const float v = load_element(op.x, y * op.x.row + x * op.x.px + c);
  store_element(op.y, y * op.y.row + x * op.y.px + c,
                activate(op.act, (v - float(mean)) * scale + op.w.bias[c], 0));
}

void verify(const Tensor& x, const Tensor& stats, int groups) {
  check(x.data && x.n == 1 && x.h >= 1 && x.w >= 1 && groups >= 1 && x.c % groups == 0, Code::device,
        "group_norm: got x [", x.n, ", ", x.h, ", ", x.w, ", ", x.c, "] and ", groups,
        " groups, expected one image of a multiple of the groups");
  check(stats.data && stats.dtype == DType::f32 && stats.c == 4 * groups, Code::device,
        "group_norm: got statistics of ", stats.c, " elements, expected 4 for each of ", groups, " groups");
}

}  // namespace

void run(const GroupStats<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.x, op.y, op.groups);
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.x.h ? rows.end : op.x.h;
  if (begin >= end) return;
  launch(group_stats,
         {.grid = {unsigned(op.groups)}, .block = kBlock, .smem_bytes = sizeof(Sums), .stream = &stream}, op,
         begin, end);
}

void run(const GroupNorm<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.x, op.stats, op.groups);
  check(op.y.data && op.y.n == 1 && op.y.extent() == op.x.extent() && op.y.c == op.x.c && op.w.w &&
            op.w.bias && op.w.cout == op.x.c,
        Code::device, "group_norm: got y [", op.y.h, ", ", op.y.w, ", ", op.y.c, "] and ", op.w.cout,
        " parameters, expected the size and the channels of x");
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.y.h ? rows.end : op.y.h;
  if (begin >= end) return;
  const int64_t count = int64_t(end - begin) * op.y.w * op.y.c;
  launch(group_norm, {.grid = {unsigned((count + kBlock - 1) / kBlock)}, .block = kBlock, .stream = &stream},
         op, begin, end - begin);
}

}  // namespace ups::cuda
