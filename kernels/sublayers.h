// The variants of the transformer sublayers and of window attention that live in files of their own.
#pragma once

#include "kernels/device/run.h"

namespace ups::cuda {

extern const AttentionSublayerVariant kAttentionSublayerMma;      // attention_sublayer_mma.cu
extern const AttentionSublayerVariant kAttentionSublayerWideMma;  // attention_sublayer_wide_mma.cu
extern const MlpSublayerVariant kMlpSublayerMma;

}  // namespace ups::cuda
