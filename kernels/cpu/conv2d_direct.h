// Direct convolution: per-ISA entry points, reached through run-time dispatch.
#pragma once

#include "kernels/cpu/conv2d_args.h"

namespace ups::cpu {

struct DirectKernels {
  int lanes;    // floats per vector
  int px_step;  // patches are padded to a multiple of this many output pixels
  // Packs block `block` (2 * lanes output channels; with dot: everything, block 0) of the weights into panel.
  void (*pack)(const DirectArgs&, int block);
  // Output tile `item`; patch holds at least patch_floats().
  void (*tile)(const DirectArgs&, int item, float* patch);
};
const DirectKernels& direct_kernels();

}  // namespace ups::cpu
