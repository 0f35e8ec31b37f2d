// GroupNorm as its definition in kernels/ops.h reads, in double and two passes. Dense or strided, one image.
#pragma once

#include <vector>

#include "tests/reference/conv2d.h"

namespace ups::reference {

inline std::vector<double> group_norm(const Tensor& x, const float* gamma, const float* beta, int groups,
                                      double eps, Act act) {
  std::vector<double> out(size_t(x.h) * x.w * x.c);
  const int size = x.c / groups;
  for (int g = 0; g < groups; g++) {
    double mean = 0, variance = 0;
    const double n = double(x.h) * x.w * size;
    auto each = [&](auto&& f) {
      for (int y = 0; y < x.h; y++)
        for (int i = 0; i < x.w; i++)
          for (int c = g * size; c < (g + 1) * size; c++) f(y, i, c, double(x.at(y, i)[c]));
    };
    each([&](int, int, int, double v) { mean += v / n; });
    each([&](int, int, int, double v) { variance += (v - mean) * (v - mean) / n; });
    each([&](int y, int i, int c, double v) {
      const double z = (v - mean) / std::sqrt(variance + eps) * gamma[c] + beta[c];
      out[(size_t(y) * x.w + i) * x.c + c] = activate(act, z, 0);
    });
  }
  return out;
}

}  // namespace ups::reference
