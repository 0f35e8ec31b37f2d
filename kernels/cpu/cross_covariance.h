// Cross-covariance attention: per-ISA entry points.
#pragma once

#include <stdint.h>

namespace ups::cpu {

constexpr int kChannelPad = 32;  // two vectors of the widest lanes

struct CovarianceKernels {
  // gram [d, d] += sum over n pixels of q[p, i] * k[p, j]; squares [2 * d] += q[p, i]^2, k[p, i]^2. In float,
  // starting at what is there.
  void (*gram)(const float* q, const float* k, int64_t px, int n, int d, float* gram, float* squares);
  // y[p, i] = sum over j of a[j * a_row + i] * v[p, j]; rows of a are readable up to a multiple of
  // kChannelPad.
  void (*apply)(const float* a, int64_t a_row, const float* v, int64_t v_px, int n, int d, float* y,
                int64_t y_px);
};
const CovarianceKernels& covariance_kernels();

}  // namespace ups::cpu
