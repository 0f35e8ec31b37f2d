// LayerNorm (kernels/ops.h): one warp per pixel, statistics in f32 from two passes over its channels.
#include "kernels/device/device.cuh"
#include "kernels/device/reduce.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr unsigned kWarps = 8;

__global__ void layer_norm(LayerNorm<Tensor> op, int first_row, int rows) {
  const int64_t pixel = int64_t(blockIdx.x) * kWarps + warp_index();
  if (pixel >= int64_t(rows) * op.y.w) return;  // whole warps; no barrier follows
  const int n = int(blockIdx.y), y = first_row + int(pixel / op.y.w), x = int(pixel % op.y.w);
  const int64_t from = n * op.x.image + y * op.x.row + x * op.x.px;
  const float inverse_c = 1.0f / float(op.x.c);

  float sum = 0;
  for (int c = lane_index(); c < op.x.c; c += 32) sum += load_element(op.x, from + c);
  const float mean = warp_sum(sum) * inverse_c;
  float squares = 0;
  for (int c = lane_index(); c < op.x.c; c += 32) {
    const float v = load_element(op.x, from + c) - mean;
    squares += v * v;
  }
  const float scale = 1.0f / sqrtf(warp_sum(squares) * inverse_c + op.eps);

  const float* gamma = static_cast<const float*>(op.w.w);
  const int64_t to = n * op.y.image + y * op.y.row + x * op.y.px;
  const int64_t add = n * op.add.image + y * op.add.row + x * op.add.px;
  for (int c = lane_index(); c < op.x.c; c += 32) {
    float v = (load_element(op.x, from + c) - mean) * scale * gamma[c] + op.w.bias[c];
    if (op.add.data) v += load_element(op.add, add + c);
    store_element(op.y, to + c, v);
  }
}

}  // namespace

void run(const LayerNorm<Tensor>& op, Stream& stream, Rows rows) {
  const bool add_fits =
      !op.add.data || (op.add.n == op.x.n && op.add.extent() == op.x.extent() && op.add.c == op.x.c);
  check(op.x.data && op.y.data && op.w.w && op.w.bias && op.w.dtype == DType::f32 && op.x.n == op.y.n &&
            op.y.n <= 65535 && op.x.extent() == op.y.extent() && op.x.c == op.y.c && op.w.cout == op.x.c &&
            add_fits,
        Code::device, "layer_norm: got x [", op.x.h, ", ", op.x.w, ", ", op.x.c, "], y [", op.y.h, ", ",
        op.y.w, ", ", op.y.c, "] and ", op.w.cout, " weights, which do not belong together");
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.y.h ? rows.end : op.y.h;
  if (begin >= end) return;
  const int64_t pixels = int64_t(end - begin) * op.y.w;
  launch(layer_norm,
         {.grid = {unsigned((pixels + kWarps - 1) / kWarps), unsigned(op.y.n)},
          .block = 32 * kWarps,
          .stream = &stream},
         op, begin, end - begin);
}

}  // namespace ups::cuda
