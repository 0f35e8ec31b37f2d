// Upscaler: one network pass over one image, tile by tile, delivered as rows from top to bottom.
#pragma once

#include <cstdint>

#include "kernels/resize.h"
#include "runtime/channels.h"
#include "runtime/image.h"
#include "runtime/session.h"
#include "runtime/tiles.h"

namespace ups {

struct TileOptions {
  int tile_px = 0;           // LR; 0: the largest that fits the budget, -1: never tile
  int overlap_px = 0;        // LR; 0: default, -1: none
  int64_t budget_bytes = 0;  // for weights, arena, scratch and blending; 0: the backend's default
};

// The grid a pass over `lr` uses. Pure: depends on the network's plans and the options only.
// Default overlap: twice the receptive field when that is at most 48 px (then tiles give exactly the untiled
// result), else 48 px, of which the outer 18 on each side are thrown away and the inner 12 faded.
TileGrid choose_tiles(Session& session, Extent lr, const TileOptions& options);

// Working bytes of a pass: arena, scratch, blender band.
int64_t pass_bytes(Session& session, const TileGrid& grid, int channels);

// Runs the network over the image and calls sink for finished HR rows [n, w * scale, network_c], in order,
// cropped to exactly lr * scale. `progress` sees 0..1 of this pass.
void run_pass(Session& session, Pool& pool, const Image& lr, const ChannelPlan& channels,
              const TileGrid& grid, const RowSink& sink, const Progress& progress);

}  // namespace ups
