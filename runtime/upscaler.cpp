// Tiles in, blended rows out.
#include "runtime/upscaler.h"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/blend.h"
#include "kernels/error.h"
#include "runtime/device_loop.h"

namespace ups {

namespace {

constexpr int kDefaultOverlap = 48;  // 49 dB to the untiled x4plus at a tile of 96, more at larger ones
constexpr int kSmallestTile = 32;
constexpr int kMostOverlap = 1 << 24;  // beyond any image, and lengths still add up

// What the options mean for a network: the overlap, and the margin around axes that wrap.
struct Overlap {
  int px;
  Extent margin;
};

Overlap overlap_for(const Session& session, const TileOptions& o) {
  const int context = session.facts().context_px;
  int usual = std::min(2 * context, kDefaultOverlap);
  if (o.blend == TileBlend::linear) usual = 8;
  if (o.blend == TileBlend::hard) usual = 20;
  const int margin = std::min(context, kDefaultOverlap);
  return {o.overlap_px == -1 ? 0
          : o.overlap_px > 0 ? o.overlap_px
                             : usual,
          {o.wrap.y ? margin : 0, o.wrap.x ? margin : 0}};
}

// Tiles must be longer than this: than their overlap and a margin at both ends of the axis.
int least_tile(const Overlap& overlap, TileBlend blend) {
  return blend == TileBlend::hard ? 0 : overlap.px + 2 * std::max(overlap.margin.h, overlap.margin.w);
}

// A small tile that was asked for gets a lesser margin and less than the usual overlap, not an error: a
// quarter of it on each side, in blocks of 4 px, as the grid may be. An overlap that was asked for too stays.
Overlap within_tile(Overlap overlap, const TileOptions& o) {
  const bool fixed = o.overlap_px != 0;
  const int most = fixed ? (o.tile_px - overlap.px - 1) / 2 / 4 * 4
                         : std::min((o.tile_px / 4 + 3) / 4 * 4, (o.tile_px - 1) / 2);
  for (int* margin : {&overlap.margin.h, &overlap.margin.w}) *margin = std::min(*margin, std::max(most, 1));
  const int room = o.tile_px - 2 * std::max(overlap.margin.h, overlap.margin.w);
  if (!fixed) overlap.px = std::min(overlap.px, std::max(0, room / 2 / 4 * 4));
  return overlap;
}

TileRequest request_for(const Session& session, Extent lr, int tile, const Overlap& overlap,
                        TileBlend blend) {
  const int context = session.facts().context_px;
  TileRequest r;
  r.tile = {tile, tile};
  r.overlap_px = overlap.px;
  r.margin = overlap.margin;
  r.blend = blend;
  // Enough context on both sides: crop hard, the result is that of the whole image. Otherwise throw away
  // the outer part, which knows least, and fade across the rest.
  r.halo_px = overlap.px >= 2 * context ? overlap.px / 2 : overlap.px * 3 / 8;
  if (blend == TileBlend::linear) r.halo_px = 0;
  if (blend == TileBlend::hard) r.halo_px = overlap.px / 2;
  r.multiple_of = session.info().multiple_of;
  // Same blocks as in the whole image for blocked convolutions, when that needs no padding.
  if (lr.h % 4 == 0 && lr.w % 4 == 0 && 4 % r.multiple_of == 0 && blend == TileBlend::smooth)
    r.multiple_of = 4;
  return r;
}

}  // namespace

int smallest_tile(const Session& session, const TileOptions& o) {
  return std::max(kSmallestTile, least_tile(overlap_for(session, o), o.blend) + 8);
}

int64_t pass_bytes(Session& session, const TileGrid& grid, const TileOptions& o) {
  const int s = session.info().scale, c = session.info().out_c;
  const int64_t w = int64_t(grid.x.size) * s, ramp = int64_t(grid.y.ramp) * s;
  int64_t bytes = TileRunner::bytes(session, grid.tile(), o.tta) +
                  o.runs * int64_t(TileBlender::bytes_for(int(w), c, grid.y.max_share(s), int(ramp)));
  if (o.runs > 1) bytes += int64_t(kRowsPerSink) * w * o.runs * c * int64_t(sizeof(float));
  return bytes;
}

TileGrid choose_tiles(Session& session, Extent lr, const TileOptions& o) {
  check(o.tile_px >= -1 && o.overlap_px >= -1 && o.overlap_px <= kMostOverlap, Code::usage,
        "tiles: got a size of ", o.tile_px, " and an overlap of ", o.overlap_px,
        " px, expected -1 or more, and an overlap of at most ", kMostOverlap);
  Overlap overlap = overlap_for(session, o);
  if (o.tile_px > 0) overlap = within_tile(overlap, o);
  auto grid_of = [&](int tile) { return tile_grid(lr, request_for(session, lr, tile, overlap, o.blend)); };
  const TileGrid whole = grid_of(0);
  if (o.tile_px == -1) return whole;
  const int margin = std::max(overlap.margin.h, overlap.margin.w), least = least_tile(overlap, o.blend);
  if (o.tile_px > 0) {
    if (o.tile_px >= std::max(lr.h, lr.w)) return whole;
    check(o.tile_px > least, Code::usage, "tiles: size ", o.tile_px, " px must exceed the overlap of ",
          overlap.px, " px", margin ? " and twice the margin of " + std::to_string(margin) + " px" : "",
          " (give a larger tile or a smaller overlap)");
    return grid_of(o.tile_px);
  }
  const int64_t budget = o.budget_bytes > 0 ? o.budget_bytes : session.backend().budget_bytes();
  const int64_t weights = int64_t(session.backend().weight_bytes());
  auto fits = [&](const TileGrid& g) { return weights + pass_bytes(session, g, o) <= budget; };
  // A 4096 px square never fits a sensible budget; not planning it keeps huge images cheap to look at.
  if (lr.pixels() <= int64_t(4096) * 4096 && fits(whole)) return whole;
  int low = smallest_tile(session, o), high = std::min(4096, std::max(lr.h, lr.w));
  while (high - low > 4) {
    const int middle = (low + high) / 2;
    (fits(grid_of(middle)) ? low : high) = middle;
  }
  return grid_of(std::max(least + 8, std::min(low, std::max(lr.h, lr.w))));
}

void run_pass(Session& session, Pool& pool, const PassInput& in, const TileGrid& grid, int* next_row,
              const RowSink& sink, const Progress& progress) {
  if (has_device_pass(session, in, grid)) return run_device_pass(session, in, grid, next_row, sink, progress);
  const ChannelPlan& channels = in.channels;
  const int scale = session.info().scale, runs = int(channels.runs.size());
  const int hr_w = in.extent().w * scale, out_c = session.info().out_c;
  session.prepare(grid.tile(0, 0));  // gives back what larger tiles of the last pass took, before bands do
  TileRunner run_tile(session, pool, in.tta);
  std::vector<TileBlender> blenders;
  for (int r = 0; r < runs; r++) blenders.emplace_back(hr_w, out_c);
  std::vector<const float*> bands(runs);
  std::vector<float> joined;  // [rows of a sink, hr_w, runs * out_c]: the channels of all runs
  const auto deliver = [&](int y, int n) {
    hand_out(y, n, next_row, [&](int i, int some) {
      const int64_t from = int64_t(i) * hr_w * out_c, pixels = int64_t(some) * hr_w;
      if (runs > 1) {
        joined.resize(size_t(pixels) * runs * out_c);
        for (int r = 0; r < runs; r++)
          for (int64_t p = 0; p < pixels; p++)
            for (int k = 0; k < out_c; k++)
              joined[(p * runs + r) * out_c + k] = bands[r][from + p * out_c + k];
      }
      sink(y + i, some, runs > 1 ? joined.data() : bands[0] + from);
    });
  };

  // The row of tiles to begin with: the last one that *next_row can be had from without those above.
  int first = 0;
  const auto alone_from = [&](int ty) { return grid.y.share(ty, scale).begin + grid.y.share(ty, scale).up; };
  while (first + 1 < grid.y.count() && alone_from(first + 1) <= *next_row) first++;
  const double tiles = double(grid.count()) * runs;
  double finished = double(first) * grid.x.count() * runs;
  for (int ty = first; ty < grid.y.count(); ty++) {
    Share rows = grid.y.share(ty, scale);
    if (ty == first) rows.begin += rows.up, rows.up = 0;  // nothing above to fade from
    for (int r = 0; r < runs; r++) {
      blenders[r].start(rows);
      for (int tx = 0; tx < grid.x.count(); tx++) {
        const int y0 = grid.y.first[ty], x0 = grid.x.first[tx];
        const Tensor hr = run_tile(
            grid.tile(ty, tx),
            [&](const Tensor& tile) {
              crop_tile(in.lr, y0 - in.pad.h, x0 - in.pad.w, channels.runs[r], tile, pool, in.wrap);
              if (channels.opaque_alpha)
                for (int y = 0; y < tile.h; y++)
                  for (int x = 0; x < tile.w; x++) tile.at(y, x)[3] = 1;
            },
            [&](double done) {
              if (progress) progress((finished + done) / tiles);
            });
        blenders[r].add(hr, y0 * scale, x0 * scale, grid.x.share(tx, scale), pool);
        finished++;
      }
    }
    int begin = 0, count = 0;
    for (int r = 0; r < runs; r++)
      blenders[r].finish(pool,
                         [&](int y, int n, const float* band) { begin = y, count = n, bands[r] = band; });
    deliver(begin, count);
  }
}

}  // namespace ups
