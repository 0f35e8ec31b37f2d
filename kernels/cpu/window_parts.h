// Geometry and position bias of windows, for window attention alone and within a sublayer.
#pragma once

#include <vector>

#include "kernels/cpu/run.h"
#include "kernels/cpu/window_attention.h"

namespace ups::cpu {

constexpr int64_t round_to(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

// What attention in windows is, whichever operator asks for it.
struct Windows {
  Extent image, grid, window, keys, shift;
  int heads = 0, d = 0;
  Weight bias;
  template <class Operator>
  Windows(const Operator& op, Extent grid)
      : image(op.x.extent()),
        grid(grid),
        window(op.window),
        keys(op.keys),
        shift(op.shift),
        heads(op.heads),
        d(op.d),
        bias(op.bias) {}
  int across() const { return grid.w / window.w; }
  int count() const { return grid.h / window.h * across(); }
  int queries() const { return int(window.pixels()); }
  // Only the last windows reach across a seam.
  bool seam(int wy, int wx) const {
    return (shift.h && (wy + 1) * window.h == grid.h) || (shift.w && (wx + 1) * window.w == grid.w);
  }
};

// The pixels of a window, or of the keys around it: coordinates, y -1 outside the image, and the side of the
// seam they lie on, by number.
struct Patch {
  struct Place {
    int y, x;
  };
  std::vector<Place> at;
  std::vector<float> side;  // as many as whole panels hold
  std::vector<int> y, x;
  std::vector<uint8_t> side_y, side_x;
  Patch(Extent e, int panel);
  void fill(const Windows& w, Extent e, int wy, int wx);
  // Pointers to the pixels of an image; `outside` for those beyond it and up to a whole panel.
  void aim(const Tensor& t, int image, float* outside, std::vector<float*>& pixels) const;
};

// The position bias of heads and panels of queries, as AttendArgs takes it. Small windows get it spread out
// once, large ones panel by panel.
class PositionBias {
 public:
  PositionBias(const Windows& w, int panel);
  int64_t floats() const { return table_floats_ + (spread_ ? rows_floats_ * panels_ * w_.heads : 0); }
  int64_t local_floats() const { return 2 * rows_floats_; }  // per thread
  void prepare(float* memory, Pool& pool);
  // [keys][panel] for one panel of queries; query and key are null but at a seam.
  const float* rows(int head, int panel, const Patch* query, const Patch* key, float* local) const;

 private:
  BiasArgs args(int head, int panel, float* to) const;
  const Windows& w_;
  int width_, panels_;
  int64_t rows_floats_, table_floats_;
  bool spread_;
  float *table_ = nullptr, *spread_rows_ = nullptr;
};

}  // namespace ups::cpu
