// Group normalisation: per-ISA entry points. No std header (ODR: see targets.h).
#pragma once

#include <stdint.h>

#include "kernels/cpu/statistics.h"
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
  // All chunks of the rows from y of an image, which ends at row_end.
  void (*take_chunk_row)(const Tensor& x, const ChunkSums& sums, int y, int row_end);
  // Sums and sums of squares by channel of the h rows of chunks from y of an image w wide.
  void (*add_chunks)(const ChunkSums& sums, int y, int h, int w, double* sum, double* square);
  // y = act(x * scale + shift) for a row of pixels.
  void (*normalize_row)(const NormalizeArgs&);
};

}  // namespace ups::cpu
