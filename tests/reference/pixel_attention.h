// Attention as its definition in kernels/ops.h reads, in double, with the row of scores stored.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/tensor.h"

namespace ups::reference {

inline std::vector<double> attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  const int tokens = q.h * q.w;
  std::vector<double> out(size_t(tokens) * v.c), score(tokens);
  auto at = [](const Tensor& t, int i) { return t.at(i / t.w, i % t.w); };
  for (int i = 0; i < tokens; i++) {
    double most = -1e300, total = 0;
    for (int j = 0; j < tokens; j++) {
      double sum = 0;
      for (int c = 0; c < q.c; c++) sum += double(at(q, i)[c]) * at(k, j)[c];
      most = std::max(most, score[j] = sum * scale);
    }
    for (double& s : score) total += s = std::exp(s - most);
    for (int j = 0; j < tokens; j++)
      for (int c = 0; c < v.c; c++) out[size_t(i) * v.c + c] += score[j] / total * at(v, j)[c];
  }
  return out;
}

}  // namespace ups::reference
