// The variant of WindowAttention that lives in a file of its own, for the table in window_attention.cu.
#pragma once

#include "kernels/device/run.h"

namespace ups::cuda {

extern const WindowAttentionVariant kWindowAttentionMma;  // window_attention_mma.cu

}  // namespace ups::cuda
