// Image: a view of interleaved pixels in the caller's memory. No file I/O anywhere in the library.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/convert.h"
#include "kernels/tensor.h"

namespace ups {

// h x w pixels of c interleaved channels: gray, gray+alpha, RGB, RGBA for c = 1..4. u8 and u16 span their
// full range; f32 is nominally 0..1, sRGB-encoded, not clamped.
struct Image {
  void* data = nullptr;
  int h = 0, w = 0, c = 0;
  Depth depth = Depth::u8;
  int64_t stride_bytes = 0;  // from one row to the next

  Extent extent() const { return {h, w}; }
  bool has_alpha() const { return c == 2 || c == 4; }
  const std::byte* row(int y) const { return static_cast<const std::byte*>(data) + y * stride_bytes; }
  std::byte* row(int y) { return static_cast<std::byte*>(data) + y * stride_bytes; }
};

inline int colours_of(const Image& image) { return image.c <= 2 ? 1 : 3; }

// A view of dense floats [size.h, size.w, c].
inline Image f32_image(float* data, Extent size, int c) {
  return {data, size.h, size.w, c, Depth::f32, int64_t(size.w) * c * int64_t(sizeof(float))};
}

// crop_tile of kernels/convert.h: tile pixel (0, 0) is image pixel (y0, x0).
inline void crop_tile(const Image& image, int y0, int x0, const ChannelMap& map, const Tensor& tile,
                      Pool& pool, Wrap wrap = {}) {
  crop_tile(image.data, image.extent(), image.c, image.depth, image.stride_bytes, y0, x0, map, tile, pool,
            wrap);
}

}  // namespace ups
