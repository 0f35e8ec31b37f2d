// Storing one sample of a picture, with the rounding rule of kernels/convert.h.
#pragma once

#include "kernels/device/device.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {

__device__ __forceinline__ float quantise(float v, float max) {
  v = v > 0 ? v : 0;  // also NaN
  v = v < 1 ? v : 1;
  return floorf(add_rn(mul_rn(v, max), 0.5f));
}

// Sample i of a row.
__device__ __forceinline__ void store_sample(char* row, PixelDepth depth, int64_t i, float v) {
  if (depth == PixelDepth::u8)
    reinterpret_cast<uint8_t*>(row)[i] = uint8_t(quantise(v, 255.0f));
  else if (depth == PixelDepth::u16)
    reinterpret_cast<uint16_t*>(row)[i] = uint16_t(quantise(v, 65535.0f));
  else
    reinterpret_cast<float*>(row)[i] = v;
}

}  // namespace ups::cuda
