// Joins tiles into a band of HR rows, and bands into the picture (kernels/device/run.h BlendTile, picture.h
// BlendRows). One thread per element; memory-bound. Products and sums round separately, as on the host.
#include "kernels/device/device.cuh"
#include "kernels/device/picture.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

__global__ void blend_tile(BlendTile op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int c = op.band.c;
  const int64_t row = int64_t(op.tile.w) * c;
  if (i >= row * op.tile.h || (op.flags && is_bad(*op.flags))) return;
  const int y = int(i / row), x = int(i % row) / c, k = int(i % row) % c;
  float v = load_element(op.tile, y * op.tile.row + x * op.tile.px + k);
  if (op.weight_x) v = mul_rn(op.weight_x[x], v);
  float* to = static_cast<float*>(op.band.data) + y * op.band.row + (op.x0 + x) * op.band.px + k;
  *to = add_rn(*to, v);
}

__global__ void join_above(BlendRows op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= op.up * op.band.row) return;
  float* band = static_cast<float*>(op.band.data);
  const float* above = static_cast<const float*>(op.above.data);
  band[i] = add_rn(above[i], mul_rn(op.ramp[i / op.band.row], band[i]));
}

__global__ void keep_below(BlendRows op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= op.down * op.band.row) return;
  const float* band = static_cast<const float*>(op.band.data) + (op.band.h - op.down) * op.band.row;
  static_cast<float*>(op.above.data)[i] = mul_rn(1 - op.ramp[i / op.band.row], band[i]);
}

unsigned blocks_for(int64_t count) { return unsigned((count + kBlock - 1) / kBlock); }

}  // namespace

void run(const BlendRows& op, Stream& stream) {
  const Tensor &b = op.band, &a = op.above;
  check(op.up >= 0 && op.down >= 0 && op.up + op.down <= b.h && b.data && b.dtype == DType::f32 &&
            b.row == int64_t(b.w) * b.c &&
            (op.up + op.down == 0 || (op.ramp && a.data && a.dtype == DType::f32 && a.row == b.row &&
                                      a.h >= op.up && a.h >= op.down)),
        Code::device, "blend_rows: got ramps of ", op.up, " and ", op.down, " rows of ", b.row,
        " floats, kept rows ", a.h, "x", a.row, ", expected them within a band of ", b.h, " rows");
  if (op.up > 0)
    launch(join_above, {.grid = {blocks_for(op.up * b.row)}, .block = kBlock, .stream = &stream}, op);
  if (op.down > 0)
    launch(keep_below, {.grid = {blocks_for(op.down * b.row)}, .block = kBlock, .stream = &stream}, op);
}

void run(const BlendTile& op, Stream& stream) {
  check(op.tile.data && op.band.data && op.band.dtype == DType::f32 && op.tile.c >= op.band.c &&
            op.tile.n == 1 && op.x0 >= 0 && op.tile.h <= op.band.h && int64_t(op.x0) + op.tile.w <= op.band.w,
        Code::device, "blend_tile: got a tile of ", op.tile.w, "x", op.tile.h, " px and ", op.tile.c,
        " channels at column ", op.x0, ", expected one inside of the band of ", op.band.w, "x", op.band.h,
        " px and ", op.band.c, " channels");
  const int64_t count = int64_t(op.tile.h) * op.tile.w * op.band.c;
  launch(blend_tile, {.grid = {blocks_for(count)}, .block = kBlock, .stream = &stream}, op);
}

}  // namespace ups::cuda
