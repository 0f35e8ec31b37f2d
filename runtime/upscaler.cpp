// Tiles in, blended rows out.
#include "runtime/upscaler.h"

#include <algorithm>
#include <vector>

#include "kernels/blend.h"
#include "kernels/error.h"

namespace ups {

namespace {

constexpr int kDefaultOverlap = 48;  // 49 dB to the untiled x4plus at a tile of 96, more at larger ones
constexpr int kSmallestTile = 32;

TileRequest request_for(const Session& session, Extent lr, int tile, int overlap) {
  const int context = session.facts().context_px;
  TileRequest r;
  r.tile = {tile, tile};
  r.overlap_px = overlap;
  // Enough context on both sides: crop hard, the result is that of the whole image. Otherwise throw away
  // the outer part, which knows least, and fade across the rest.
  r.halo_px = overlap >= 2 * context ? overlap / 2 : overlap * 3 / 8;
  r.multiple_of = session.info().multiple_of;
  // Same blocks as in the whole image for blocked convolutions, when that needs no padding.
  if (lr.h % 4 == 0 && lr.w % 4 == 0 && 4 % r.multiple_of == 0) r.multiple_of = 4;
  return r;
}

}  // namespace

int64_t pass_bytes(Session& session, const TileGrid& grid, int channels) {
  const int s = session.info().scale;
  const int64_t ramp = int64_t(grid.y.ramp) * s;
  return int64_t(session.working_bytes(grid.tile())) +
         int64_t(TileBlender::bytes_for(grid.x.size * s, channels, grid.y.max_share(s), int(ramp)));
}

TileGrid choose_tiles(Session& session, Extent lr, const TileOptions& o) {
  check(o.tile_px >= -1 && o.overlap_px >= -1, Code::usage, "tiles: size ", o.tile_px, " and overlap ",
        o.overlap_px, " must not be negative");
  const int context = session.facts().context_px;
  const int overlap = o.overlap_px == -1 ? 0
                      : o.overlap_px > 0 ? o.overlap_px
                                         : std::min(2 * context, kDefaultOverlap);
  auto grid_of = [&](int tile) { return tile_grid(lr, request_for(session, lr, tile, overlap)); };
  const TileGrid whole = tile_grid(lr, {.multiple_of = session.info().multiple_of});
  if (o.tile_px == -1) return whole;
  if (o.tile_px > 0) {
    if (o.tile_px >= std::max(lr.h, lr.w)) return whole;
    check(o.tile_px > overlap, Code::usage, "tiles: size ", o.tile_px, " px must exceed the overlap of ",
          overlap, " px (give a larger tile or a smaller overlap)");
    return grid_of(o.tile_px);
  }
  const int channels = session.info().out_c;
  const int64_t budget = o.budget_bytes > 0 ? o.budget_bytes : session.backend().budget_bytes();
  const int64_t weights = int64_t(session.backend().weight_bytes());
  auto fits = [&](const TileGrid& g) { return weights + pass_bytes(session, g, channels) <= budget; };
  // A 4096 px square never fits a sensible budget; not planning it keeps huge images cheap to look at.
  if (lr.pixels() <= int64_t(4096) * 4096 && fits(whole)) return whole;
  int low = std::max(kSmallestTile, overlap + 8), high = std::min(4096, std::max(lr.h, lr.w));
  while (high - low > 4) {
    const int middle = (low + high) / 2;
    (fits(grid_of(middle)) ? low : high) = middle;
  }
  return grid_of(std::min(low, std::max(lr.h, lr.w)));
}

void run_pass(Session& session, Pool& pool, const Image& lr, const ChannelPlan& channels,
              const TileGrid& grid, const RowSink& sink, const Progress& progress) {
  const int scale = session.info().scale, runs = int(channels.runs.size());
  const int hr_w = lr.w * scale, out_c = session.info().out_c;
  const Plan& plan = session.prepare(grid.tile());
  std::vector<TileBlender> blenders;
  for (int r = 0; r < runs; r++) blenders.emplace_back(hr_w, out_c);

  std::vector<float> joined;  // [n, hr_w, runs]: the planes of a gray network that ran once per channel
  const double tiles = double(grid.count()) * runs;
  double finished = 0;
  for (int ty = 0; ty < grid.y.count(); ty++) {
    for (int r = 0; r < runs; r++) {
      blenders[r].start(grid.y.share(ty, scale));
      for (int tx = 0; tx < grid.x.count(); tx++) {
        const int y0 = grid.y.first[ty], x0 = grid.x.first[tx];
        crop_tile(lr.data, lr.extent(), lr.c, lr.depth, lr.stride_bytes, y0, x0, channels.runs[r], plan.x,
                  pool);
        if (channels.opaque_alpha)
          for (int y = 0; y < plan.x.h; y++)
            for (int x = 0; x < plan.x.w; x++) plan.x.at(y, x)[3] = 1;
        session.run([&](double done) {
          if (progress) progress((finished + done) / tiles);
        });
        blenders[r].add(plan.y, y0 * scale, x0 * scale, grid.x.share(tx, scale), pool);
        finished++;
      }
    }
    for (int r = 0; r < runs; r++)
      blenders[r].finish(pool, [&](int y, int n, const float* band) {
        if (runs == 1) return sink(y, n, band);
        const int64_t pixels = int64_t(n) * hr_w;
        joined.resize(size_t(pixels) * runs);
        for (int64_t i = 0; i < pixels; i++) joined[i * runs + r] = band[i];
        if (r == runs - 1) sink(y, n, joined.data());
      });
  }
}

}  // namespace ups
