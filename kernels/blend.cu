// Adds a weighted tile to a band of HR rows (kernels/device/run.h BlendTile). One thread per element;
// memory-bound.
#include "kernels/device/device.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

__global__ void blend_tile(BlendTile op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int c = op.band.c;
  const int64_t row = int64_t(op.tile.w) * c;
  if (i >= row * op.tile.h) return;
  const int y = int(i / row), x = int(i % row) / c, k = int(i % row) % c;
  float v = load_element(op.tile, y * op.tile.row + x * op.tile.px + k);
  if (op.weight_x) v = mul_rn(op.weight_x[x], v);
  if (op.weight_y) v = mul_rn(op.weight_y[y], v);
  float* to = static_cast<float*>(op.band.data) + (op.y0 + y) * op.band.row + (op.x0 + x) * op.band.px + k;
  *to = add_rn(*to, v);
}

}  // namespace

void run(const BlendTile& op, Stream& stream) {
  check(op.tile.data && op.band.data && op.band.dtype == DType::f32 && op.tile.c >= op.band.c &&
            op.tile.n == 1 && op.y0 >= 0 && op.x0 >= 0 && int64_t(op.y0) + op.tile.h <= op.band.h &&
            int64_t(op.x0) + op.tile.w <= op.band.w,
        Code::device, "blend_tile: got a tile of ", op.tile.w, "x", op.tile.h, " px and ", op.tile.c,
        " channels at ", op.x0, ",", op.y0, ", expected one inside of the band of ", op.band.w, "x",
        op.band.h, " px and ", op.band.c, " channels");
  const int64_t count = int64_t(op.tile.h) * op.tile.w * op.band.c;
  launch(blend_tile, {.grid = {unsigned((count + kBlock - 1) / kBlock)}, .block = kBlock, .stream = &stream},
         op);
}

}  // namespace ups::cuda
