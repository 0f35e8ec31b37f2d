// Conv2d variants that live in files of their own, for the table in conv2d.cu.
#pragma once

#include "kernels/device/run.h"

namespace ups::cuda {

// conv2d_sm90.cu; not in builds without UPS_CUDA_ARCHS_SM90
extern const Conv2dVariant kConv2dWgmma, kConv2dNarrow;

extern const Conv2dVariant kConv2dStream;  // conv2d_stream_sm90.cu; likewise

extern const Conv2dVariant kConv2dPhases;  // conv2d_phases_sm90.cu; likewise

// conv2d_wide_sm90.cu; likewise. The second form also makes the statistics of y, where wide_sums_groups().
extern const Conv2dVariant kConv2dWide;
bool wide_sums_groups(const Conv2d<Tensor>& op, int groups);
void launch_wide_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream,
                           Rows rows);

// conv2d_mma.cu; the second form also makes the statistics of y where the first one says so.
extern const Conv2dVariant kConv2dMma, kConv2dMmaF16Sums;
bool mma_makes_sums(const Conv2d<Tensor>& op, int groups);
void launch_mma_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream,
                          Rows rows);

extern const Conv2dVariant kConv2dTf32;  // conv2d_tf32.cu

extern const Conv2dVariant kConv2dF32;  // conv2d_f32.cu

}  // namespace ups::cuda
