// Group normalisation: per-ISA entry points. No std header (ODR: see targets.h).
#pragma once

#include <stdint.h>

#include "kernels/ops.h"

namespace ups::cpu {

struct NormalizeArgs {
  const float* x;
  int64_t x_px;
  float* y;
  int64_t y_px;
  int w, c;
  const float *scale, *shift;  // by channel, padded to whole vectors
  Act act;                     // none, relu or silu
};

struct GroupNormKernels {
  // sum[i] and square[i] over w pixels of channel i < c.
  void (*row_sums)(const float* x, int64_t px, int w, int c, double* sum, double* square);
  // y = act(x * scale + shift) for a row of pixels.
  void (*normalize_row)(const NormalizeArgs&);
};

}  // namespace ups::cpu
