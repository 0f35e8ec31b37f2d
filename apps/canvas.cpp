// Fills the canvas, then copies the rows both have.
#include "apps/canvas.h"

#include <algorithm>
#include <cstring>

#include "apps/pixel_format.h"

namespace ups::apps {
namespace {

// One pixel of the colour in the picture's own format.
Image pixel_of(const Image& like, const std::optional<Colour>& background) {
  Image f = allocate_image(1, 1, like.channels, UPS_F32);
  float* p = reinterpret_cast<float*>(f.pixels.get());
  Colour c = background.value_or(Colour{});
  if (like.channels <= 2)
    p[0] = 0.299f * c.r + 0.587f * c.g + 0.114f * c.b;
  else
    p[0] = c.r, p[1] = c.g, p[2] = c.b;
  if (like.channels % 2 == 0) p[like.channels - 1] = background ? 1.f : 0.f;
  return convert_depth(std::move(f), like.depth);
}

}  // namespace

Image place_on_canvas(const Image& in, const SizePlan& plan, const std::optional<Colour>& background) {
  Image out = allocate_image(plan.width, plan.height, in.channels, in.depth);
  size_t px = size_t(in.channels) * Image::sample_bytes(in.depth);
  int x0 = std::max(plan.x, 0), x1 = std::min(plan.x + in.width, plan.width);
  int y0 = std::max(plan.y, 0), y1 = std::min(plan.y + in.height, plan.height);
  Image pixel = pixel_of(in, background);
  for (int y = 0; y < out.height; y++) {
    uint8_t* row = out.row(y);
    bool inside = y >= y0 && y < y1;
    for (int x = 0; x < out.width; x++) {
      if (inside && x == x0) x = x1;  // the picture's own
      if (x < out.width) memcpy(row + size_t(x) * px, pixel.pixels.get(), px);
    }
    if (inside)
      memcpy(row + size_t(x0) * px, in.row(y - plan.y) + size_t(x0 - plan.x) * px, size_t(x1 - x0) * px);
  }
  return out;
}

}  // namespace ups::apps
