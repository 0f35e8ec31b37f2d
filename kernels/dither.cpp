// Bayer thresholds and error diffusion.
#include "kernels/dither.h"

#include <algorithm>

#include "kernels/error.h"

namespace ups {
namespace {

template <class T>
constexpr float kMax = T(~T(0));

float clamped(float v, float most) {
  v = v > 0 ? v : 0;  // NaN too
  return v < most ? v : most;
}

// Bayer's matrix: bits of x ^ y and y, interleaved, the lowest first.
int bayer(int x, int y) {
  int m = 0;
  for (int bit = 0; bit < 3; bit++) m = m << 2 | ((x ^ y) >> bit & 1) << 1 | (y >> bit & 1);
  return m;
}

}  // namespace

RowQuantiser::RowQuantiser(int w, int c, Depth depth, Dither dither)
    : w_(w), c_(c), depth_(depth), dither_(dither) {
  check(w >= 1 && c >= 1 && c <= 4, Code::usage, "dither: got ", w, " px of ", c,
        " channels, expected at least 1 of 1 to 4");
  if (depth == Depth::f32) dither_ = Dither::none;
  if (dither_ == Dither::floyd_steinberg) error_.resize(size_t(w + 2) * c), next_.resize(size_t(w + 2) * c);
}

template <class T>
void RowQuantiser::ordered(const float* rows, int n, T* out, Pool& pool) const {
  pool.for_each(n, [&](int i, int) {
    const int64_t at = int64_t(i) * w_ * c_;
    for (int x = 0; x < w_; x++) {
      const float threshold = (float(bayer(x & 7, (y_ + i) & 7)) + 0.5f) / 64;
      for (int k = 0; k < c_; k++) {
        const int64_t j = at + int64_t(x) * c_ + k;
        const float v = clamped(rows[j] * kMax<T>, kMax<T>);
        const bool alpha = c_ % 2 == 0 && k == c_ - 1;
        out[j] = T(std::min(v + (alpha ? 0.5f : threshold), kMax<T>));
      }
    }
  });
}

template <class T>
void RowQuantiser::diffuse(const float* row, T* out) {
  std::fill(next_.begin(), next_.end(), 0.0f);
  for (int x = 0; x < w_; x++)
    for (int k = 0; k < c_; k++) {
      const int64_t i = int64_t(x) * c_ + k, e = i + c_;  // errors have a pixel of margin on each side
      const bool alpha = c_ % 2 == 0 && k == c_ - 1;
      const float v = clamped(clamped(row[i] * kMax<T>, kMax<T>) + (alpha ? 0 : error_[size_t(e)]), kMax<T>);
      out[i] = T(int(v + 0.5f));
      if (alpha) continue;
      const float error = v - float(out[i]);
      error_[size_t(e + c_)] += error * (7 / 16.0f);
      next_[size_t(e - c_)] += error * (3 / 16.0f);
      next_[size_t(e)] += error * (5 / 16.0f);
      next_[size_t(e + c_)] += error * (1 / 16.0f);
    }
  error_.swap(next_);
}

void RowQuantiser::put(const float* rows, int n, void* out, Pool& pool) {
  const int64_t row = int64_t(w_) * c_;
  if (dither_ == Dither::none) {
    store_rows(rows, n, w_, c_, c_, out, c_, 0, depth_, row * depth_bytes(depth_), pool);
  } else if (dither_ == Dither::ordered) {
    depth_ == Depth::u8 ? ordered(rows, n, static_cast<uint8_t*>(out), pool)
                        : ordered(rows, n, static_cast<uint16_t*>(out), pool);
  } else {
    for (int i = 0; i < n; i++)
      depth_ == Depth::u8 ? diffuse(rows + i * row, static_cast<uint8_t*>(out) + i * row)
                          : diffuse(rows + i * row, static_cast<uint16_t*>(out) + i * row);
  }
  y_ += n;
}

}  // namespace ups
