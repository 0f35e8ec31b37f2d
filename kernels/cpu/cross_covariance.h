// Cross-covariance attention: per-ISA entry points.
#pragma once

#include <stdint.h>

namespace ups::cpu {

struct CovarianceKernels {
  // gram [d, d] += sum over n pixels of q[p, i] * k[p, j]; squares [2 * d] += q[p, i]^2, k[p, i]^2. In float,
  // starting at what is there.
  void (*gram)(const float* q, const float* k, int64_t px, int n, int d, float* gram, float* squares);
  // y[p, i] = sum over j of a[j * d + i] * v[p, j]
  void (*apply)(const float* a, const float* v, int64_t v_px, int n, int d, float* y, int64_t y_px);
};
const CovarianceKernels& covariance_kernels();

}  // namespace ups::cpu
