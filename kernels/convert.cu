// Between interleaved u8/u16/f32 images and NHWC tiles, with the rounding rules of kernels/convert.h. One
// thread per pixel; memory-bound.
#include "kernels/device/device.cuh"
#include "kernels/device/run.h"
#include "kernels/device/sample.cuh"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

// Reflection that does not repeat the border: ... 2 1 [0 1 .. n-1] n-2 ...
__device__ __forceinline__ int reflect(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * (n - 1);
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

__device__ __forceinline__ float load_pixel(const DeviceImage& image, int y, int x, int c) {
  const char* row = static_cast<const char*>(image.data) + y * image.stride_bytes;
  const int64_t i = int64_t(x) * image.c + c;
  // The divisions are correctly rounded, as on the host.
  if (image.depth == PixelDepth::u8) return float(reinterpret_cast<const uint8_t*>(row)[i]) / 255.0f;
  if (image.depth == PixelDepth::u16) return float(reinterpret_cast<const uint16_t*>(row)[i]) / 65535.0f;
  return reinterpret_cast<const float*>(row)[i];
}

__global__ void crop_tile(CropTile op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= int64_t(op.tile.h) * op.tile.w) return;
  const int y = int(i / op.tile.w), x = int(i % op.tile.w);
  const int from_y = reflect(op.y0 + y, op.image.h), from_x = reflect(op.x0 + x, op.image.w);
  const int64_t at = y * op.tile.row + x * op.tile.px;
  for (int k = 0; k < op.tile.c; k++)
    store_element(op.tile, at + k, k < op.count ? load_pixel(op.image, from_y, from_x, op.from[k]) : op.rest);
}

__global__ void store_tile(StoreTile op) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= int64_t(op.tile.h) * op.tile.w) return;
  const int y = int(i / op.tile.w), x = int(i % op.tile.w);
  char* row = static_cast<char*>(op.image.data) + (op.y0 + y) * op.image.stride_bytes;
  const int64_t to = int64_t(op.x0 + x) * op.image.c + op.first_c;
  for (int k = 0; k < op.count; k++)
    store_sample(row, op.image.depth, to + k, load_element(op.tile, y * op.tile.row + x * op.tile.px + k));
}

Grid grid_for(const Tensor& t) { return {unsigned((int64_t(t.h) * t.w + kBlock - 1) / kBlock)}; }

}  // namespace

void run(const CropTile& op, Stream& stream) {
  bool ok = op.image.data && op.tile.data && op.image.h >= 1 && op.image.w >= 1 && op.tile.h >= 1 &&
            op.tile.w >= 1 && op.tile.n == 1 && op.count >= 1 && op.count <= 4 && op.tile.c >= op.count;
  for (int k = 0; ok && k < op.count; k++) ok = op.from[k] >= 0 && op.from[k] < op.image.c;
  check(ok, Code::device, "crop_tile: got ", op.count, " of ", op.image.c, " channels for a tile of ",
        op.tile.c, ", expected 1 to 4 that exist");
  launch(crop_tile, {.grid = grid_for(op.tile), .block = kBlock, .stream = &stream}, op);
}

void run(const StoreTile& op, Stream& stream) {
  check(op.image.data && op.tile.data && op.tile.n == 1 && op.y0 >= 0 && op.x0 >= 0 &&
            int64_t(op.y0) + op.tile.h <= op.image.h && int64_t(op.x0) + op.tile.w <= op.image.w &&
            op.count >= 1 && op.count <= op.tile.c && op.first_c >= 0 && op.first_c + op.count <= op.image.c,
        Code::device, "store_tile: got a tile of ", op.tile.w, "x", op.tile.h, " px at ", op.x0, ",", op.y0,
        ", expected one inside of ", op.image.w, "x", op.image.h);
  launch(store_tile, {.grid = grid_for(op.tile), .block = kBlock, .stream = &stream}, op);
}

}  // namespace ups::cuda
