// The tile grid: counts, sides and positions in units of multiple_of, one axis at a time.
#include "runtime/tiles.h"

#include <algorithm>

#include "kernels/error.h"

namespace ups {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

TileAxis axis(int size, int tile, const TileRequest& request) {
  const int64_t unit = request.multiple_of;
  const int64_t padded = ceil_div(size, unit);
  check(padded * unit <= 1 << 30, Code::usage, "tiles: got a side of ", size, " px, expected at most 2^30");
  const int64_t overlap = ceil_div(request.overlap_px, unit);
  const int64_t longest = tile <= 0 ? padded : std::max<int64_t>(1, tile / unit);

  TileAxis a;
  a.size = size;
  if (padded <= longest) {
    a.tile = int(padded * unit);
    a.first = {0};
    return a;
  }
  check(longest > overlap, Code::usage, "tiles: got tiles of ", longest * unit, " px with an overlap of ",
        overlap * unit, " px, expected a longer tile (or a smaller overlap)");
  const int64_t count = ceil_div(padded - overlap, longest - overlap);
  const int64_t shortest = ceil_div(padded + (count - 1) * overlap, count);  // still count tiles
  a.tile = int(shortest * unit);
  for (int64_t i = 0; i < count; i++) a.first.push_back(int(i * (padded - shortest) / (count - 1) * unit));

  // A ramp no longer than the way from one seam to the next, so that at most two tiles meet on an axis.
  const int64_t step = (padded - shortest) / (count - 1) * unit;  // the shortest of them
  a.ramp = int(std::min<int64_t>(request.overlap_px - 2 * request.halo_px, step));
  return a;
}

}  // namespace

Share TileAxis::share(int i, int scale) const {
  // Seam between tiles i and i + 1: the ramp lies in the middle of their overlap.
  const auto seam = [&](int left) {
    const int overlap = first[left] + tile - first[left + 1];
    return first[left + 1] + (overlap - ramp) / 2;
  };
  Share s{0, size * scale, 0, 0};
  if (i > 0) s.begin = seam(i - 1) * scale, s.up = ramp * scale;
  if (i + 1 < count()) s.end = (seam(i) + ramp) * scale, s.down = ramp * scale;
  return s;
}

int TileAxis::max_share(int scale) const {
  int longest = 0;
  for (int i = 0; i < count(); i++) longest = std::max(longest, share(i, scale).size());
  return longest;
}

TileGrid tile_grid(Extent image, const TileRequest& request) {
  check(image.h >= 1 && image.w >= 1, Code::usage, "tiles: got an image of ", image.w, "x", image.h,
        ", expected at least 1x1");
  check(request.multiple_of >= 1, Code::usage, "tiles: got multiple_of ", request.multiple_of,
        ", expected at least 1");
  check(request.halo_px >= 0 && int64_t(request.halo_px) * 2 <= request.overlap_px, Code::usage,
        "tiles: got a halo of ", request.halo_px, " px and an overlap of ", request.overlap_px,
        " px, expected an overlap of at least twice the halo");
  return {axis(image.h, request.tile.h, request), axis(image.w, request.tile.w, request)};
}

}  // namespace ups
