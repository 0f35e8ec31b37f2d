// A seeded picture with detail on all scales and hard edges, for measurements of accuracy.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace ups::testing {

// Interleaved u8 RGB. Value noise on grids of 2 to 128 cells with amplitudes of 1 / cells (a spectrum of
// about 1/f, as photographs have), and an inverted disc.
inline std::vector<unsigned char> synthetic_picture(int w, int h) {
  std::vector<float> sum(size_t(w) * h * 3, 0.0f);
  std::mt19937 engine(7);
  for (int cells = 2; cells <= 128; cells *= 2) {
    const int side = cells + 1;
    std::vector<float> grid(size_t(side) * side * 3);
    for (float& v : grid) v = float(engine() >> 8) * 0x1p-24f;
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++) {
        const float gy = float(y) * cells / h, gx = float(x) * cells / w;
        const int iy = int(gy), ix = int(gx);
        const float fy = gy - iy, fx = gx - ix;
        for (int c = 0; c < 3; c++) {
          const auto at = [&](int j, int i) { return grid[(size_t(iy + j) * side + ix + i) * 3 + c]; };
          const float top = at(0, 0) + (at(0, 1) - at(0, 0)) * fx,
                      low = at(1, 0) + (at(1, 1) - at(1, 0)) * fx;
          sum[(size_t(y) * w + x) * 3 + c] += (top + (low - top) * fy) / float(cells);
        }
      }
  }
  const auto [least, most] = std::minmax_element(sum.begin(), sum.end());
  const float lo = *least, range = std::max(*most - *least, 1e-6f);
  std::vector<unsigned char> picture(sum.size());
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      const double dy = y - h / 2.0, dx = x - w / 3.0, r = std::min(h, w) / 5.0;
      for (int c = 0; c < 3; c++) {
        const size_t i = (size_t(y) * w + x) * 3 + size_t(c);
        const float v = (sum[i] - lo) / range;
        picture[i] = static_cast<unsigned char>(std::lround(255 * (dy * dy + dx * dx < r * r ? 1 - v : v)));
      }
    }
  return picture;
}

}  // namespace ups::testing
