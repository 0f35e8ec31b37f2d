// Operators that move data: pixel_unshuffle, copy, upsample (kernels/ops.h). One thread per output element;
// memory-bound: each element is read and written once.
#include "kernels/device/place.cuh"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

__global__ void pixel_unshuffle(PixelUnshuffle<Tensor> op, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  const int rr = op.r * op.r, i = p.c / op.r % op.r, j = p.c % op.r;
  const Place from{p.n, p.y * op.r + i, p.x * op.r + j, p.c / rr};
  store_element(op.y, offset(op.y, p), load_element(op.x, offset(op.x, from)));
}

__global__ void copy(Copy<Tensor> op, int first_row, int rows) {
  Place p;
  if (place(op.y, first_row, rows, p))
    store_element(op.y, offset(op.y, p), load_element(op.x, offset(op.x, p)));
}

// Copy where pixels are whole vectors of 16 bytes: one per thread and round, blockIdx.y strides over rows.
constexpr int kCopyRounds = 4;
__global__ void copy_vectors(Copy<Tensor> op, int first_row, int rows, int units, int element_bytes) {
  const int first = int(blockIdx.x * blockDim.x) * kCopyRounds + int(threadIdx.x);
  for (int row = int(blockIdx.y); row < rows; row += int(gridDim.y)) {
    const int64_t n = blockIdx.z, y = first_row + row;
    const char* from = static_cast<const char*>(op.x.data) + (n * op.x.image + y * op.x.row) * element_bytes;
    char* to = static_cast<char*>(op.y.data) + (n * op.y.image + y * op.y.row) * element_bytes;
    Vec16 v[kCopyRounds];
#pragma unroll
    for (int i = 0; i < kCopyRounds; i++) {
      const int unit = first + i * int(blockDim.x), x = unit / units;
      if (x < op.x.w)
        v[i] = *reinterpret_cast<const Vec16*>(from + x * op.x.px * element_bytes + unit % units * 16);
    }
#pragma unroll
    for (int i = 0; i < kCopyRounds; i++) {
      const int unit = first + i * int(blockDim.x), x = unit / units;
      if (x < op.x.w) *reinterpret_cast<Vec16*>(to + x * op.y.px * element_bytes + unit % units * 16) = v[i];
    }
  }
}

// Whether 16-byte accesses reach every pixel of t.
bool whole_vectors(const Tensor& t) {
  const int64_t bytes = int64_t(dtype_bytes(t.dtype));
  return t.c * bytes % 16 == 0 && t.px * bytes % 16 == 0 && t.row * bytes % 16 == 0 &&
         (t.n == 1 || t.image * bytes % 16 == 0) && reinterpret_cast<uintptr_t>(t.data) % 16 == 0 &&
         int64_t(t.w) * t.c < (1 << 30);
}

// Keys' weights (a = -0.75) of the four pixels that make output pixel i; returns the first of them.
__device__ __forceinline__ int cubic_weights(int i, int up, float* weight) {
  constexpr float a = -0.75f;
  const float source = (float(i) + 0.5f) / float(up) - 0.5f, base = floorf(source);
  for (int k = 0; k < 4; k++) {
    const float t = fabsf(source - (base - 1 + float(k)));
    weight[k] = t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  }
  return int(base) - 1;
}

__global__ void upsample(Upsample<Tensor> op, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  if (op.cubic) {
    float wy[4], wx[4], sum = 0;
    const int y0 = cubic_weights(p.y, op.up, wy), x0 = cubic_weights(p.x, op.up, wx);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) {
        const Place at{p.n, min(max(y0 + i, 0), op.x.h - 1), min(max(x0 + j, 0), op.x.w - 1), p.c};
        sum += wy[i] * wx[j] * load_element(op.x, offset(op.x, at));
      }
    store_element(op.y, offset(op.y, p), sum);
    return;
  }
  const Place from{p.n, p.y / op.up, p.x / op.up, p.c};
  store_element(op.y, offset(op.y, p), load_element(op.x, offset(op.x, from)));
}

void verify(bool ok, const char* what, const Tensor& x, const Tensor& y) {
  check(ok && x.data && y.data && x.n == y.n && y.n <= 65535, Code::device, what, ": got x [", x.n, ", ", x.h,
        ", ", x.w, ", ", x.c, "], y [", y.n, ", ", y.h, ", ", y.w, ", ", y.c,
        "], which do not belong together");
}

}  // namespace

void run(const PixelUnshuffle<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.r >= 1 && op.x.h == op.y.h * op.r && op.x.w == op.y.w * op.r && op.y.c == op.x.c * op.r * op.r,
         "pixel_unshuffle", op.x, op.y);
  launch_rows(pixel_unshuffle, op.y, stream, rows, op);
}
void run(const Copy<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.x.extent() == op.y.extent() && op.x.c == op.y.c, "copy", op.x, op.y);
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.y.h ? rows.end : op.y.h;
  if (begin >= end) return;
  if (op.x.dtype != op.y.dtype || !whole_vectors(op.x) || !whole_vectors(op.y))
    return launch_rows(copy, op.y, stream, rows, op);
  const int bytes = int(dtype_bytes(op.x.dtype)), units = op.x.c * bytes / 16;
  const unsigned per_block = kBlock * kCopyRounds, count = unsigned(op.x.w) * unsigned(units);
  launch(copy_vectors,
         {.grid = {(count + per_block - 1) / per_block, unsigned(end - begin < 65535 ? end - begin : 65535),
                   unsigned(op.y.n)},
          .block = kBlock,
          .stream = &stream},
         op, begin, end - begin, units, bytes);
}
void run(const Upsample<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.up >= 1 && op.y.h == op.x.h * op.up && op.y.w == op.x.w * op.up && op.x.c == op.y.c, "upsample",
         op.x, op.y);
  launch_rows(upsample, op.y, stream, rows, op);
}

}  // namespace ups::cuda
