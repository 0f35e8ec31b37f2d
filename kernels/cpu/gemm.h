// Linear layers and 1x1 convolutions as a matrix product: per-ISA entry points.
//
// y [pixels, cout] = x [pixels, cin] * w [cin, cout]: a work item is a run of a few pixels whose channels
// stay in L1 while the packed weights, kept in L2, pass by panel after panel.
#pragma once

#include "kernels/cpu/conv2d_args.h"

namespace ups::cpu {

struct GemmArgs {
  int cin = 0, cout = 0;
  const void* weight = nullptr;  // [cin, cout]
  bool weight_f16 = false;
  int ahead = 0;           // pixels to what this thread will probably be given next
  float* panel = nullptr;  // packed: [cout / 2 vectors][cin][2 vectors]
  Epilogue epilogue;
};

struct GemmKernels {
  int lanes;
  int rows;  // pixels of a register tile
  // Packs panel `block` (2 * lanes outputs).
  void (*pack)(const GemmArgs&, int block);
  // Output pixels (y, x0 .. x0 + n) from the pixels at `x`, x_px floats apart. room: rows * (cin + 2 *
  // lanes).
  void (*pixels)(const GemmArgs&, const float* x, int64_t x_px, int y, int x0, int n, float* room);
};
const GemmKernels& gemm_kernels();

}  // namespace ups::cpu
