// Conv2d as its definition in kernels/ops.h reads, in double and naive loops. Dense operands of one image.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ops.h"

namespace ups::reference {

inline double activate(Act act, double v, double slope) {
  switch (act) {
    case Act::none:
      return v;
    case Act::relu:
      return v < 0 ? 0 : v;
    case Act::lrelu:
    case Act::prelu:
      return v > 0 ? v : slope * v;
    case Act::gelu:
      return 0.5 * v * std::erfc(-v / std::sqrt(2.0));
    case Act::silu:
      return v / (1 + std::exp(-v));
  }
  return v;
}

// op.w.w holds `weights` as doubles in [k, k, cin, cout], op.shortcut.w.w shortcut_weights in [cin, cout].
// Returns y [h, w, c] of op.y's extent, image 0. largest_sum: at least the magnitude of any sum with its
// bias.
inline std::vector<double> conv2d(const Conv2d<Tensor>& op, const std::vector<double>& weights,
                                  const std::vector<double>& shortcut_weights = {},
                                  double* largest_sum = nullptr) {
  const int k = op.w.k, cin = op.w.cin, cout = op.w.cout, r = op.shuffle;
  const int oh = op.y.h / r, ow = op.y.w / r;
  std::vector<double> out(size_t(op.y.h) * op.y.w * op.y.c);
  for (int y = 0; y < oh; y++) {
    for (int x = 0; x < ow; x++) {
      for (int co = 0; co < cout; co++) {
        double sum = op.w.bias ? op.w.bias[co] : 0;
        for (int ky = 0; ky < k; ky++) {
          for (int kx = 0; kx < k; kx++) {
            const int uy = y * op.stride + ky - op.pad(), ux = x * op.stride + kx - op.pad();
            if (uy < 0 || ux < 0 || uy >= op.x.h * op.up || ux >= op.x.w * op.up) continue;
            const float* in = op.x.at(uy / op.up, ux / op.up);
            const double* w = &weights[(size_t(ky * k + kx) * cin) * cout + co];
            for (int ci = 0; ci < cin; ci++) sum += double(in[ci]) * w[size_t(ci) * cout];
          }
        }
        if (op.shortcut.present()) {
          const Weight& w = op.shortcut.w;
          const float* in = op.shortcut.t.at(y, x);
          for (int ci = 0; ci < w.cin; ci++) sum += double(in[ci]) * shortcut_weights[size_t(ci) * cout + co];
          if (w.bias) sum += w.bias[co];
        }
        if (largest_sum) *largest_sum = std::max(*largest_sum, std::abs(sum));
        const double slope = op.act == Act::prelu ? op.w.slope[co] : op.slope;
        double v = (op.act_last ? sum : activate(op.act, sum, slope)) * op.scale;
        if (op.add.t.data) v += double(op.add.scale) * op.add.t.at(y, x)[co / op.add.group];
        if (op.add2.t.data) v += double(op.add2.scale) * op.add2.t.at(y, x)[co / op.add2.group];
        if (op.act_last) v = activate(op.act, v, slope);
        const int c = co / (r * r), i = co / r % r, j = co % r;
        out[(size_t(y * r + i) * op.y.w + x * r + j) * op.y.c + c] = v;
      }
    }
  }
  return out;
}

}  // namespace ups::reference
