// Kernels on whole pictures in device memory: joining rows of tiles, resampling, and looking whether a tile
// went wrong. Like kernels/device/run.h: the work is enqueued on the stream and the call returns.
#pragma once

#include "kernels/device/run.h"

namespace ups::cuda {

// What CheckTile found, three ints in device memory that start as zero. The tile is bad when it holds a value
// that is not finite, or nothing but zeros although its input holds something else: what overflow in half
// precision looks like.
struct TileFlags {
  int not_finite, output, input;  // 1: a NaN or infinity in y; a value other than 0 in y; in x
};
constexpr bool is_bad(const TileFlags& f) { return f.not_finite || (f.input && !f.output); }

// flags = what is true of x and y (any dtype).
struct CheckTile {
  Tensor x, y;
  TileFlags* flags = nullptr;
};
void run(const CheckTile& op, Stream& stream);

// Joins a finished row of tiles with the one above, exactly as kernels/blend.h TileBlender::finish:
//   band(y) = above(y) + ramp[y] * band(y), y < up;  then  above(y) = (1 - ramp[y]) * band(band.h - down +
//   y), y < down
// band, above: f32, dense, of equal width and channels; above has max(up, down) rows. ramp: [max(up, down)]
// in device memory.
struct BlendRows {
  Tensor band, above;
  int up = 0, down = 0;
  const float* ramp = nullptr;
};
void run(const BlendRows& op, Stream& stream);

// The tables of kernels/resize.h TapTable in device memory: output i is the sum of weights[i * max_count + k]
// * input first[i] + k, k < count[i].
struct DeviceTaps {
  const int *first = nullptr, *count = nullptr;
  const float* weights = nullptr;
  int max_count = 1;
};

// y(r, i, c) = sum over taps of x(r, ., c): resamples rows. x: any dtype; y: f32, as many rows and channels.
struct ResizeRows {
  Tensor x, y;
  DeviceTaps taps;
};
void run(const ResizeRows& op, Stream& stream);

// image(i - first_row, x, c) = sum over taps of x(., x, c), quantised as StoreTile, for i = first_row ..
// first_row + image.h - 1: resamples columns. x: f32, with as many columns and channels as the image.
struct ResizeColumns {
  Tensor x;
  DeviceImage image;
  int first_row = 0;
  DeviceTaps taps;
};
void run(const ResizeColumns& op, Stream& stream);

}  // namespace ups::cuda
