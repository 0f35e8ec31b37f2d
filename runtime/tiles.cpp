// The tile grid: counts, sides and positions in units of multiple_of, one axis at a time.
#include "runtime/tiles.h"

#include <algorithm>
#include <string>

#include "kernels/error.h"

namespace ups {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// RealESRGANer's grid: cuts every `cut` units, context on both sides where the image goes on.
TileAxis hard_axis(int size, int64_t cut, int64_t halo, int64_t unit, bool wraps) {
  TileAxis a;
  a.size = size;
  const int64_t end = ceil_div(size, unit);
  for (int64_t at = 0; at < end; at += cut) {
    const int64_t first = wraps ? at - halo : std::max<int64_t>(0, at - halo);
    const int64_t stop = std::min(end, at + cut) + halo;
    a.first.push_back(int(first * unit));
    a.length.push_back(int(((wraps ? stop : std::min(end, stop)) - first) * unit));
    a.tile = std::max(a.tile, a.length.back());
    if (at > 0) a.seam.push_back(int(at * unit));
  }
  return a;
}

TileAxis axis(int size, int tile, int margin_px, const TileRequest& request) {
  const int64_t unit = request.multiple_of;
  const int64_t margin = ceil_div(margin_px, unit);
  const int64_t padded = ceil_div(size, unit) + 2 * margin;
  check(padded * unit <= 1 << 30, Code::usage, "tiles: got a side of ", size, " px, expected at most 2^30");
  const int64_t overlap = ceil_div(request.overlap_px, unit);
  const int64_t longest = tile <= 0 ? padded : std::max<int64_t>(1, tile / unit);

  TileAxis a;
  a.size = size;
  if (padded <= longest) {
    a.tile = int(padded * unit);
    a.first = {int(-margin * unit)};
    return a;
  }
  if (request.blend == TileBlend::hard)
    return hard_axis(size, longest, ceil_div(request.halo_px, unit), unit, margin > 0);
  check(longest > overlap + (margin ? 2 * margin - 1 : 0), Code::usage, "tiles: got tiles of ",
        longest * unit, " px with an overlap of ", overlap * unit, " px",
        margin ? " and a margin of " + std::to_string(margin * unit) + " px on both sides" : "",
        ", expected a longer tile (or a smaller overlap)");
  const int64_t count = ceil_div(padded - overlap, longest - overlap);
  const bool linear = request.blend == TileBlend::linear;
  const int64_t shortest =  // still count tiles
      linear && margin == 0 ? longest : ceil_div(padded + (count - 1) * overlap, count);
  a.tile = int(shortest * unit);
  for (int64_t i = 0; i < count; i++)
    a.first.push_back(int((i * (padded - shortest) / (count - 1) - margin) * unit));

  // A ramp no longer than the way from one seam to the next, so that at most two tiles meet on an axis.
  const int64_t step = (padded - shortest) / (count - 1) * unit;  // the shortest of them
  a.ramp = int(std::min<int64_t>(request.overlap_px - 2 * request.halo_px, step));
  if (linear) a.fade = Fade::linear;
  for (int i = 0; i + 1 < a.count(); i++)  // in the middle of the overlap
    a.seam.push_back(linear ? a.first[i + 1] : (a.first[i + 1] + a.first[i] + a.tile - a.ramp) / 2);
  return a;
}

}  // namespace

Share TileAxis::share(int i, int scale) const {
  Share s{0, size * scale, 0, 0, fade};
  if (i > 0) s.begin = seam[i - 1] * scale, s.up = ramp * scale;
  if (i + 1 < count()) s.end = (seam[i] + ramp) * scale, s.down = ramp * scale;
  return s;
}

int TileAxis::max_share(int scale) const {
  int longest = 0;
  for (int i = 0; i < count(); i++) longest = std::max(longest, share(i, scale).size());
  return longest;
}

int64_t TileGrid::pixels() const {
  const auto sum = [](const TileAxis& a) {
    int64_t all = 0;
    for (int i = 0; i < a.count(); i++) all += a.side(i);
    return all;
  };
  return sum(y) * sum(x);
}

TileGrid tile_grid(Extent image, const TileRequest& request) {
  check(image.h >= 1 && image.w >= 1, Code::usage, "tiles: got an image of ", image.w, "x", image.h,
        ", expected at least 1x1");
  check(request.multiple_of >= 1, Code::usage, "tiles: got multiple_of ", request.multiple_of,
        ", expected at least 1");
  check(request.halo_px >= 0 && int64_t(request.halo_px) * 2 <= request.overlap_px, Code::usage,
        "tiles: got a halo of ", request.halo_px, " px and an overlap of ", request.overlap_px,
        " px, expected an overlap of at least twice the halo");
  return {axis(image.h, request.tile.h, request.margin.h, request),
          axis(image.w, request.tile.w, request.margin.w, request)};
}

}  // namespace ups
