// Upscaler: one network pass over one image, tile by tile, delivered as rows from top to bottom.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/resize.h"
#include "runtime/augment.h"
#include "runtime/channels.h"
#include "runtime/image.h"
#include "runtime/session.h"
#include "runtime/tiles.h"

namespace ups {

struct TileOptions {
  int tile_px = 0;           // LR; 0: the largest that fits the budget, -1: never tile
  int overlap_px = 0;        // LR; 0: default, -1: none
  int64_t budget_bytes = 0;  // for weights, arena, scratch and blending; 0: the backend's default
  TileBlend blend = TileBlend::smooth;
  Wrap wrap;     // axes that go on from the other end
  int tta = 1;   // forms per tile, see symmetries()
  int runs = 1;  // of the network over the image, one after the other: see ChannelPlan
};

// The grid a pass over `lr` uses. Pure: depends on the network's plans and the options only.
// Default overlap: twice the receptive field when that is at most 48 px (then tiles give exactly the untiled
// result), else 48 px, of which the outer 18 on each side are thrown away and the inner 12 faded. Linear
// blending: 8 px; hard: 20 px, 10 on each side of a cut (what the systems that have them use). On an axis
// that wraps, the receptive field or 48 px, whichever is less, is computed around the image.
TileGrid choose_tiles(Session& session, Extent lr, const TileOptions& options);

// The smallest side that choose_tiles takes by itself.
int smallest_tile(const Session& session, const TileOptions& options);

// Working bytes of a pass: arena, scratch, blender band.
int64_t pass_bytes(Session& session, const TileGrid& grid, const TileOptions& options);

// What a pass runs over: an image, continued by `pad` px on both sides of its axes (those that wrap).
struct PassInput {
  const Image& lr;
  const ChannelPlan& channels;
  Extent pad{};
  Wrap wrap{};
  int tta = 1;
  Extent extent() const { return {lr.h + 2 * pad.h, lr.w + 2 * pad.w}; }
};

constexpr int kRowsPerSink = 32;  // most rows of one call of a sink, and so of the buffers behind it

// Passes finished rows [y, y + n) on, at most kRowsPerSink at a time, by put(i, count) for rows y + i .. y +
// i + count - 1. *next_row is the first row that has not been passed on, and is kept so: a pass that goes on
// after a failure computes some rows again, which are left out.
template <class Put>
void hand_out(int y, int n, int* next_row, const Put& put) {
  for (int i = std::clamp(*next_row - y, 0, n); i < n;) {
    const int some = std::min(kRowsPerSink, n - i);
    put(i, some);
    i += some;
    *next_row = y + i;
  }
}

// Runs the network over the image and calls sink for finished HR rows [n, w * scale, network_c], in order,
// cropped to exactly the input's extent * scale. `progress` sees 0..1 of this pass. The first row delivered
// is *next_row, which follows what has been delivered: after an exception the pass can be resumed there, with
// another grid, from the row of tiles it was in.
void run_pass(Session& session, Pool& pool, const PassInput& input, const TileGrid& grid, int* next_row,
              const RowSink& sink, const Progress& progress);

}  // namespace ups
