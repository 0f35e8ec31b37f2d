// LayerNorm and WindowAttention as their definitions in kernels/ops.h read, in double and naive loops: the
// shift is a roll, the mask compares coordinates. Dense or strided f32 operands of one image.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ops.h"

namespace ups::reference {

inline std::vector<double> layer_norm(const LayerNorm<Tensor>& op) {
  std::vector<double> out;
  const float* gamma = static_cast<const float*>(op.w.w);
  for (int y = 0; y < op.x.h; y++)
    for (int x = 0; x < op.x.w; x++) {
      const float* v = op.x.at(y, x);
      double mean = 0, variance = 0;
      for (int c = 0; c < op.x.c; c++) mean += double(v[c]) / op.x.c;
      for (int c = 0; c < op.x.c; c++) variance += (v[c] - mean) * (v[c] - mean) / op.x.c;
      for (int c = 0; c < op.x.c; c++)
        out.push_back((v[c] - mean) / std::sqrt(variance + op.eps) * gamma[c] + op.w.bias[c] +
                      (op.add.data ? op.add.at(y, x)[c] : 0));
    }
  return out;
}

// On which side of the seam a pixel of the rolled image lies: rolling by -shift brings the first `shift`
// rows to the end.
inline bool wrapped(int rolled, int shift, int size) { return rolled >= size - shift; }

inline std::vector<double> window_attention(const WindowAttention<Tensor>& op) {
  const int h = op.grid().h, w = op.grid().w, width = op.x.c / 3, d = op.d;
  const int top = (op.keys.h - op.window.h) / 2, left = (op.keys.w - op.window.w) / 2;
  const int bias_w = op.window.w + op.keys.w - 1;
  const float* table = static_cast<const float*>(op.bias.w);
  std::vector<double> out(size_t(op.y.h) * op.y.w * op.y.c), zero(d), logits;
  for (int ry = 0; ry < h; ry++)
    for (int rx = 0; rx < w; rx++)
      for (int n = 0; n < op.heads; n++) {
        const int y = (ry + op.shift.h) % h, x = (rx + op.shift.w) % w;  // the pixel at (ry, rx) of the roll
        const int wy = ry / op.window.h * op.window.h, wx = rx / op.window.w * op.window.w;
        if (y >= op.x.h || x >= op.x.w) continue;  // padding
        const auto channel = [&](int py, int px, int which, int c) {
          if (py >= op.x.h || px >= op.x.w) return 0.0;
          return double(op.x.at(py, px)[which * width + op.first + n * d + c]);
        };
        const auto length = [&](int py, int px, int which) {
          double sum = 0;
          for (int c = 0; c < d; c++) sum += channel(py, px, which, c) * channel(py, px, which, c);
          return std::max(std::sqrt(sum), 1e-12);
        };
        logits.clear();
        for (int ky = 0; ky < op.keys.h; ky++)
          for (int kx = 0; kx < op.keys.w; kx++) {
            const int sy = wy - top + ky, sx = wx - left + kx;  // of the roll
            double logit = 0;
            if (sy >= 0 && sx >= 0 && sy < h && sx < w) {
              const int py = (sy + op.shift.h) % h, px = (sx + op.shift.w) % w;
              for (int c = 0; c < d; c++) logit += channel(y, x, 0, c) * channel(py, px, 1, c);
              logit *= op.cosine ? op.bias.bias[n] / length(y, x, 0) / length(py, px, 1) : op.scale;
              if (wrapped(ry, op.shift.h, h) != wrapped(sy, op.shift.h, h) ||
                  wrapped(rx, op.shift.w, w) != wrapped(sx, op.shift.w, w))
                logit -= 100;
            }
            const int by = ky - (ry - wy) + op.window.h - 1, bx = kx - (rx - wx) + op.window.w - 1;
            logits.push_back(logit + table[size_t(n) * op.bias.cin + by * bias_w + bx]);
          }
        const double largest = *std::max_element(logits.begin(), logits.end());
        double sum = 0;
        std::vector<double> value(d);
        for (int ky = 0, j = 0; ky < op.keys.h; ky++)
          for (int kx = 0; kx < op.keys.w; kx++, j++) {
            const double p = std::exp(logits[j] - largest);
            sum += p;
            const int sy = wy - top + ky, sx = wx - left + kx;
            if (sy < 0 || sx < 0 || sy >= h || sx >= w) continue;
            for (int c = 0; c < d; c++)
              value[c] += p * channel((sy + op.shift.h) % h, (sx + op.shift.w) % w, 2, c);
          }
        for (int c = 0; c < d; c++) out[(size_t(y) * op.y.w + x) * op.y.c + n * d + c] = value[c] / sum;
      }
  return out;
}

}  // namespace ups::reference
