// Tile blending: along x into a band of rows, then along y between bands.
#include "kernels/blend.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace ups {

// For w = ramp(j, n) the float 1 - w is exact above 1/2; below, it is off by at most 2^-25, and w + (1 - w)
// rounds back to 1 (a tie goes to the even 1). So the two weights sum to 1.0f exactly.
float ramp(int j, int n, Fade fade) {
  if (fade == Fade::linear) return float(int64_t(255) * j / n) / 255;
  const double t = (j + 0.5) / n;
  return float(t * t * t * (t * (6 * t - 15) + 10));
}

float weight(const Share& share, int p) {
  if (p < share.begin || p >= share.end) return 0;
  if (p < share.begin + share.up) return ramp(p - share.begin, share.up, share.fade);
  if (p >= share.end - share.down) return 1 - ramp(p - (share.end - share.down), share.down, share.fade);
  return 1;
}

TileBlender::TileBlender(int w, int c) : w_(w), c_(c) {
  check(w >= 1 && c >= 1, Code::usage, "blend: got rows of ", w, " px and ", c,
        " channels, expected 1 or more");
}

void TileBlender::start(const Share& y) {
  check(y.up >= 0 && y.down >= 0 && int64_t(y.up) + y.down <= int64_t(y.end) - y.begin, Code::usage,
        "blend: got ramps of ", y.up, " and ", y.down, " px in a share of ", y.size(), " px");
  if (any_)
    check(y.begin == y_.end - y_.down && y.up == y_.down, Code::usage, "blend: got a row of tiles from ",
          y.begin, " with a ramp of ", y.up, " px, expected one from ", y_.end - y_.down, " with ", y_.down);
  else
    check(y.up == 0, Code::usage, "blend: got a rising ramp of ", y.up,
          " px in the first row of tiles, expected 0");
  y_ = y;
  any_ = true;
  // Zero, because ramps add: 0 + a + b is the same in either order.
  const size_t floats = size_t(y.size()) * w_ * c_;
  if (floats > band_.capacity()) std::vector<float>().swap(band_);  // not both at once
  band_.assign(floats, 0.0f);
}

void TileBlender::add(const Tensor& tile, int y0, int x0, const Share& x, Pool& pool) {
  check(tile.dtype == DType::f32 && tile.c >= c_ && x.begin >= 0 && x.end <= w_ && x0 <= x.begin &&
            int64_t(x0) + tile.w >= x.end && y0 <= y_.begin && int64_t(y0) + tile.h >= y_.end,
        Code::usage, "blend: got a tile of ", tile.w, "x", tile.h, " px at ", x0, ",", y0,
        ", expected one that covers columns ", x.begin, " .. ", x.end, " and rows ", y_.begin, " .. ",
        y_.end);
  check(x.up >= 0 && x.down >= 0 && int64_t(x.up) + x.down <= x.size(), Code::usage, "blend: got ramps of ",
        x.up, " and ", x.down, " px in a share of ", x.size(), " px");
  std::vector<float> up(x.up), down(x.down);
  for (int j = 0; j < x.up; j++) up[j] = weight(x, x.begin + j);
  for (int j = 0; j < x.down; j++) down[j] = weight(x, x.end - x.down + j);

  pool.for_each(y_.size(), [&](int y, int) {
    float* out = band_.data() + (int64_t(y) * w_ + x.begin) * c_;
    const float* in = tile.at(y_.begin + y - y0, x.begin - x0);
    const auto fade = [&](const std::vector<float>& w) {
      for (size_t j = 0; j < w.size(); j++, in += tile.px, out += c_)
        for (int k = 0; k < c_; k++) out[k] += w[j] * in[k];
    };
    fade(up);
    const int inside = x.size() - x.up - x.down;
    if (tile.px == c_) {
      std::memcpy(out, in, size_t(inside) * c_ * sizeof(float));
    } else {
      for (int j = 0; j < inside; j++)
        for (int k = 0; k < c_; k++) out[int64_t(j) * c_ + k] = in[j * tile.px + k];
    }
    in += inside * tile.px;
    out += int64_t(inside) * c_;
    fade(down);
  });
}

void TileBlender::finish(Pool& pool, const RowSink& sink) {
  const int64_t row = int64_t(w_) * c_;
  pool.for_each(y_.up, [&](int y, int) {
    const float w = ramp(y, y_.up, y_.fade);
    float* band = band_.data() + y * row;
    const float* above = carry_.data() + y * row;
    for (int64_t j = 0; j < row; j++) band[j] = above[j] + w * band[j];
  });
  carry_.resize(size_t(y_.down) * row);
  pool.for_each(y_.down, [&](int y, int) {
    const float w = 1 - ramp(y, y_.down, y_.fade);
    const float* band = band_.data() + (y_.size() - y_.down + y) * row;
    float* carry = carry_.data() + y * row;
    for (int64_t j = 0; j < row; j++) carry[j] = w * band[j];
  });
  const int rows = y_.size() - y_.down;
  if (rows > 0) sink(y_.begin, rows, band_.data());
}

size_t TileBlender::bytes() const { return (band_.capacity() + carry_.capacity()) * sizeof(float); }

size_t TileBlender::bytes_for(int w, int c, int max_rows, int max_ramp) {
  return (size_t(max_rows) + max_ramp) * w * c * sizeof(float);
}

}  // namespace ups
