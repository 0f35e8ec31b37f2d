// DType, Extent and Tensor: what every kernel reads and writes.
//
// Included by per-ISA translation units: no std header with inline functions may appear here.
#pragma once

#include <stdint.h>

namespace ups {

enum class DType : uint8_t { f32, f16, bf16 };

constexpr int dtype_bytes(DType d) { return d == DType::f32 ? 4 : 2; }
constexpr const char* dtype_name(DType d) {
  return d == DType::f32 ? "f32" : d == DType::f16 ? "f16" : "bf16";
}

// Spatial size in pixels.
struct Extent {
  int h = 0, w = 0;
  friend constexpr bool operator==(Extent a, Extent b) { return a.h == b.h && a.w == b.w; }
  constexpr int64_t pixels() const { return int64_t(h) * w; }
};

// A view of an image batch, NHWC: channel c is contiguous. Who owns the memory is decided by plans and
// sessions. px > c means a channel slice of a wider buffer: how dense blocks avoid concatenation.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int n = 1, h = 0, w = 0, c = 0;
  int64_t image = 0, row = 0, px = 0;  // strides in elements; px >= c

  // [.., first : first+count]
  Tensor channels(int first, int count) const {
    Tensor t = *this;
    t.data = static_cast<char*>(data) + int64_t(first) * dtype_bytes(dtype);
    t.c = count;
    return t;
  }
  Extent extent() const { return {h, w}; }
  // Address of pixel (y, x) of image 0 as float. Only for f32 tensors.
  float* at(int y, int x) const { return static_cast<float*>(data) + y * row + x * px; }
};

// A dense f32 view over `data`: [1, h, w, c].
inline Tensor dense_f32(float* data, int h, int w, int c) {
  return {data, DType::f32, 1, h, w, c, int64_t(h) * w * c, int64_t(w) * c, c};
}

}  // namespace ups
