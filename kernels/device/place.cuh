// Kernels of one thread per output element: which element a thread serves, and their launch.
#pragma once

#include "kernels/device/device.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {

constexpr unsigned kPlaceBlock = 256;

// Output element (y, x, c) of image n that this thread serves; false: none.
struct Place {
  int n, y, x, c;
};
__device__ __forceinline__ bool place(const Tensor& t, int first_row, int rows, Place& p) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t row = int64_t(t.w) * t.c;
  p.n = int(blockIdx.y);
  p.y = first_row + int(i / row);
  p.x = int(i % row) / t.c;
  p.c = int(i % row) % t.c;
  return i < row * rows;
}
__device__ __forceinline__ int64_t offset(const Tensor& t, const Place& p) {
  return p.n * t.image + p.y * t.row + p.x * t.px + p.c;
}

// kernel(args..., first_row, rows) for the elements of y in `rows`.
template <class... Params, class... Args>
void launch_rows(void (*kernel)(Params...), const Tensor& y, Stream& stream, Rows rows, const Args&... args) {
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < y.h ? rows.end : y.h;
  if (begin >= end) return;
  const int64_t count = int64_t(end - begin) * y.w * y.c;
  launch(kernel,
         {.grid = {unsigned((count + kPlaceBlock - 1) / kPlaceBlock), unsigned(y.n)},
          .block = kPlaceBlock,
          .stream = &stream},
         args..., begin, end - begin);
}

}  // namespace ups::cuda
