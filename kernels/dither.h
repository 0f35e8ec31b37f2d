// From floats to integers without bands: the rounding error is spread instead of repeated.
#pragma once

#include <vector>

#include "kernels/convert.h"

namespace ups {

// The order is that of ups_dither in include/upscale.h.
enum class Dither : uint8_t {
  none,
  ordered,  // floor(v max + t), t from Bayer's 8x8 matrix: (m + 0.5) / 64. Values that are levels stay.
  floyd_steinberg  // 7/16 right, 3/16 below left, 5/16 below, 1/16 below right; rows from left to right
};

// Quantises pictures of w pixels that arrive from top to bottom. Alpha (the last of 2 or 4 channels) is
// rounded. u8 and u16 only; for f32 as from_float. Deterministic, whatever the cut into rows.
class RowQuantiser {
 public:
  RowQuantiser(int w, int c, Depth depth, Dither dither);
  // rows [n, w, c] -> out [n, w, c] packed, of `depth`.
  void put(const float* rows, int n, void* out, Pool& pool);

 private:
  template <class T>
  void ordered(const float* rows, int n, T* out, Pool& pool) const;
  template <class T>
  void diffuse(const float* row, T* out);

  int w_, c_, y_ = 0;
  Depth depth_;
  Dither dither_;
  std::vector<float> error_, next_;  // of this row and the one below, [w + 2, c]
};

}  // namespace ups
