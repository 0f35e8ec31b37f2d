// How the copy engine of sm_90 sees an image: what a tensor copy needs besides coordinates (hopper.cuh).
#pragma once

#include "kernels/tensor.h"

namespace ups::cuda {

// On the device this is a CUtensorMap; kernels take it as const __grid_constant__.
struct alignas(128) TensorMap {
  unsigned char opaque[128];
};

// A view of image 0 of t (f16 or bf16; data 16-byte aligned, px and row multiples of 8 elements) cut into
// boxes [box_h, box_w, box_c channels], box_c = 64 or 16. In shared memory a box is a row of 2 box_c bytes
// per pixel, swizzled over that width, on a multiple of eight rows. Outside of the image and beyond t.c
// channels there are zeros. Throws Error{Code::device}.
TensorMap make_tensor_map(const Tensor& t, int box_h, int box_w, int box_c = 64);

}  // namespace ups::cuda
