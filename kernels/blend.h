// Joins overlapping tiles: where two tiles overlap, one fades into the other.
//
// Weights are a product of one weight per axis, and on each axis the fade of a tile and that of its neighbour
// sum to exactly 1.0f, so there is no weight plane and no division. Where one tile alone contributes, its
// pixels are stored bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/resize.h"
#include "kernels/tensor.h"

namespace ups {

// How a ramp of n pixels rises, at pixel j:
enum class Fade : uint8_t {
  smooth,  // smootherstep t^3 (6 t^2 - 15 t + 10) at t = (j + 0.5) / n (Perlin 2002), in (0, 1)
  linear   // floor(255 j / n) / 255: the 8-bit masks of AUTOMATIC1111's combine_grid; 0 at the first pixel
};

// The part of an axis that one tile contributes to, in pixels of the image: [begin, end), with weight 1 but
// for a rising ramp over the first `up` pixels and a falling one over the last `down`. Neighbours a, b share
// a ramp: b.begin == a.end - a.down and b.up == a.down. The ramps of one share do not overlap.
struct Share {
  int begin = 0, end = 0, up = 0, down = 0;
  Fade fade = Fade::smooth;
  int size() const { return end - begin; }
};

// Weight of pixel j of a rising ramp of n pixels. The falling ramp is 1 - ramp(j, n); the sum of both is
// exactly 1.0f.
float ramp(int j, int n, Fade fade = Fade::smooth);

// Weight of image pixel p on this axis; 0 outside [begin, end).
float weight(const Share& share, int p);

// Joins tiles row of tiles by row of tiles and hands out finished image rows. For each row of tiles: start,
// add each tile (any order: the result is the same bit for bit), finish.
class TileBlender {
 public:
  // Rows of w pixels and c channels.
  TileBlender(int w, int c);
  // The next row of tiles contributes to image rows [y.begin, y.end). Error{Code::usage} if it does not
  // adjoin the row before.
  void start(const Share& y);
  // tile: f32, tile.c >= c, pixel (0, 0) at image pixel (y0, x0); covers the started rows and the share x.
  void add(const Tensor& tile, int y0, int x0, const Share& x, Pool& pool);
  // Calls sink for rows [y.begin, y.end - y.down), packed [n, w, c]; the ramp below waits for the next row of
  // tiles. The rows stay where they are until the next start().
  void finish(Pool& pool, const RowSink& sink);
  size_t bytes() const;
  // What a blender of these dimensions will hold at most: for memory budgets.
  static size_t bytes_for(int w, int c, int max_rows, int max_ramp);

 private:
  int w_, c_;
  Share y_;
  bool any_ = false;
  std::vector<float> band_;   // [y.size, w, c]: the row of tiles joined along x
  std::vector<float> carry_;  // [y.down, w, c]: the row above, already weighted by its falling ramp
};

}  // namespace ups
