// One 8-bit copy, filtered in place.
#include "runtime/post.h"

#include <vector>

#include "kernels/convert.h"
#include "kernels/enhance.h"

namespace ups {

bool Post::any() const {
  return sharpness != 1 || brightness != 1 || color != 1 || contrast != 1 || detail || smooth || blur ||
         contour;
}

void apply_post(float* picture, Extent size, int c, const Post& post, Pool& pool) {
  const int64_t count = size.pixels() * c;
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  from_float(picture, Depth::u8, bytes.data(), count);
  enhance_u8(bytes.data(), size, c, Enhance::sharpness, post.sharpness, pool);
  enhance_u8(bytes.data(), size, c, Enhance::brightness, post.brightness, pool);
  enhance_u8(bytes.data(), size, c, Enhance::color, post.color, pool);
  enhance_u8(bytes.data(), size, c, Enhance::contrast, post.contrast, pool);
  for (int i = 0; i < post.detail; i++) filter_u8(bytes.data(), size, c, Kernel::detail, pool);
  for (int i = 0; i < post.smooth; i++) filter_u8(bytes.data(), size, c, Kernel::smooth, pool);
  for (int i = 0; i < post.blur; i++) filter_u8(bytes.data(), size, c, Kernel::blur, pool);
  if (post.contour) filter_u8(bytes.data(), size, c, Kernel::contour, pool);
  to_float(bytes.data(), Depth::u8, picture, count);
}

int64_t post_bytes(Extent size, int c) { return size.pixels() * c + enhance_bytes(size.w, c); }

}  // namespace ups
