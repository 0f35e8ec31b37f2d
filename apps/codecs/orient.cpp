// Turns and mirrors stored pixels upright.
#include <cstring>
#include <utility>

#include "apps/codecs/image_io.h"

namespace ups::apps {

// EXIF orientation o: which source pixel lands on (x, y) of the upright image.
Image upright(Image in, int o) {
  if (o <= 1 || o > 8) return in;
  bool transposed = o >= 5;
  Image out = allocate_image(transposed ? in.height : in.width, transposed ? in.width : in.height,
                             in.channels, in.depth);
  size_t px = size_t(in.channels) * Image::sample_bytes(in.depth);
  for (int y = 0; y < out.height; y++) {
    for (int x = 0; x < out.width; x++) {
      int sx = transposed ? y : x, sy = transposed ? x : y;
      if (o == 2 || o == 3 || o == 7 || o == 8) sx = in.width - 1 - sx;
      if (o == 3 || o == 4 || o == 6 || o == 7) sy = in.height - 1 - sy;
      memcpy(out.row(y) + x * px, in.row(sy) + sx * px, px);
    }
  }
  out.meta = std::move(in.meta);
  if (transposed) std::swap(out.meta.dpi_x, out.meta.dpi_y);
  out.notes = std::move(in.notes);
  return out;
}

}  // namespace ups::apps
