// Windows, their pixels and their position bias.
#include "kernels/cpu/window_parts.h"

namespace ups::cpu {
namespace {

constexpr int64_t kMaxSpread = 64 << 10;  // floats of all heads: a quarter of L2

// Pixels of one axis of a window: coordinates, -1 outside, and the side of the seam (0, 1 or 2). The grid of
// windows is as long as the image or, padded, longer.
void axis_pixels(int window, int keys, int shift, int image, int size, int index, int* at, uint8_t* side) {
  const int before = (keys - window) / 2;
  for (int i = 0; i < keys; i++) {
    const int p = index * window - before + i;
    at[i] = p < 0 || p >= size ? -1 : (p + shift) % size;
    if (at[i] >= image) at[i] = -1;
    side[i] = uint8_t(shift == 0 || p < size - window ? 0 : p < size - shift ? 1 : 2);
  }
}

}  // namespace

Patch::Patch(Extent e, int panel)
    : at(e.pixels()), side(round_to(e.pixels(), panel)), y(e.h), x(e.w), side_y(e.h), side_x(e.w) {}

void Patch::fill(const Windows& w, Extent e, int wy, int wx) {
  axis_pixels(w.window.h, e.h, w.shift.h, w.image.h, w.grid.h, wy, y.data(), side_y.data());
  axis_pixels(w.window.w, e.w, w.shift.w, w.image.w, w.grid.w, wx, x.data(), side_x.data());
  for (int i = 0; i < e.h; i++)
    for (int j = 0; j < e.w; j++) {
      at[i * e.w + j] = {x[j] < 0 ? -1 : y[i], x[j]};
      side[i * e.w + j] = float(3 * side_y[i] + side_x[j]);
    }
}

void Patch::aim(const Tensor& t, int image, float* outside, std::vector<float*>& pixels) const {
  pixels.resize(side.size());
  for (size_t i = 0; i < side.size(); i++)
    pixels[i] = i < at.size() && at[i].y >= 0 ? t.at(at[i].y, at[i].x) + image * t.image : outside;
}

PositionBias::PositionBias(const Windows& w, int panel)
    : w_(w),
      width_(panel),
      panels_(int((w.queries() + panel - 1) / panel)),
      rows_floats_(w.keys.pixels() * panel),
      table_floats_(round_to(int64_t(w.heads) * w.bias.cin, 16)),
      spread_(rows_floats_ * panels_ * w.heads <= kMaxSpread) {}

BiasArgs PositionBias::args(int head, int panel, float* to) const {
  return {table_ + int64_t(head) * w_.bias.cin,
          w_.window.w,
          w_.queries(),
          w_.keys.h,
          w_.keys.w,
          panel * width_,
          to};
}

void PositionBias::prepare(float* memory, Pool& pool) {
  table_ = memory, spread_rows_ = memory + table_floats_;
  pool.for_each(w_.heads, [&](int head, int) {
    const float* from = static_cast<const float*>(w_.bias.w) + int64_t(head) * w_.bias.cin;
    float* to = table_ + int64_t(head) * w_.bias.cin;
    for (int i = 0; i < w_.bias.cin; i++) to[i] = from[w_.bias.cin - 1 - i] * kLog2E;
    for (int panel = 0; panel < panels_ && spread_; panel++)
      attention_kernels().bias(args(head, panel, spread_rows_ + (head * panels_ + panel) * rows_floats_));
  });
}

const float* PositionBias::rows(int head, int panel, const Patch* query, const Patch* key,
                                float* local) const {
  const float* rows = local;
  if (spread_)
    rows = spread_rows_ + (head * panels_ + panel) * rows_floats_;
  else
    attention_kernels().bias(args(head, panel, local));
  if (!query) return rows;
  float* masked = local + rows_floats_;
  attention_kernels().mask(
      {rows, query->side.data() + panel * width_, key->side.data(), int(w_.keys.pixels()), masked});
  return masked;
}

}  // namespace ups::cpu
