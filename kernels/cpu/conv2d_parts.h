// What the convolution drivers (conv2d.cpp, conv2d_winograd*.cpp, gemm.cpp, chain.cpp) share.
#pragma once

#include <string_view>

#include "kernels/cpu/conv2d_args.h"
#include "kernels/cpu/run.h"

namespace ups::cpu {

// Extent of the convolution's output before the pixel shuffle.
Extent conv_extent(const Conv2d<Tensor>& op);
// Throws Error{Code::device} unless the operands fit together.
void check_conv2d(const Conv2d<Tensor>& op);
// room: 2 * round_up(cout, kCoutPad) floats that outlive the epilogue (padded bias and slopes).
Epilogue make_epilogue(const Conv2d<Tensor>& op, float* room);
// Points the epilogue at image `image` of y and of the addends.
void aim_epilogue(Epilogue& e, const Conv2d<Tensor>& op, int image);

// Side of the output tile of a Winograd variant: 4, 6 or 8; 0 for other variants.
int variant_tile(std::string_view variant);

// Rows within the output; neither checks the operator.
// stats: of the output, taken along.
void run_direct(const Conv2d<Tensor>& op, Context& context, Rows rows,
                const GroupStats<Tensor>* stats = nullptr);
void run_gemm(const Conv2d<Tensor>& op, Context& context, Rows rows);
void run_winograd(const Conv2d<Tensor>& op, Context& context, Rows rows,
                  const GroupStats<Tensor>* stats = nullptr);
void run_large_winograd(const Conv2d<Tensor>& op, Context& context, Rows rows, int tile);

}  // namespace ups::cpu
