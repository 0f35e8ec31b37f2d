// Sums that make up the statistics of a group normalisation, by block of whatever kernel made the pixels.
#pragma once

#include "kernels/device/device.cuh"
#include "kernels/ops.h"

namespace ups::cuda {

// Of one group over the pixels of one block.
struct GroupSum {
  double sum, square;
};

// Of what a warp stores of four channels.
struct FloatSum {
  float sum, square;
};

// op.y (+)= the sums of `count` blocks, partial[block][group], in the order of the blocks. In group_norm.cu.
void add_up_group_sums(const GroupSum* partial, int count, const GroupStats<Tensor>& op, bool onto,
                       Stream& stream);

}  // namespace ups::cuda
