// Attention variants that live in files of their own, for the table in pixel_attention.cu.
#pragma once

#include "kernels/device/run.h"

namespace ups::cuda {

extern const AttentionVariant kAttentionMma;    // pixel_attention_mma.cu
extern const AttentionVariant kAttentionWgmma;  // pixel_attention_sm90.cu; not without UPS_CUDA_ARCHS_SM90

}  // namespace ups::cuda
