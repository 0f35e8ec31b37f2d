// Where tiles lie. Pure functions of sizes; no pixels here.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/blend.h"
#include "kernels/tensor.h"

namespace ups {

enum class TileBlend : uint8_t {
  smooth,  // a smooth fade across the middle of the overlap, the outer part thrown away
  linear,  // AUTOMATIC1111's combine_grid: tiles of the full size; each fades in over the first overlap_px of
           // its own, whatever the real overlap is
  hard  // RealESRGANer: a grid of tiles without overlap, each computed with halo_px more on every side that
        // is not the border of the image, and cut out
};

// Lengths in LR pixels.
struct TileRequest {
  Extent tile{0, 0};    // largest tile wanted; a side <= 0: do not cut that axis
  int overlap_px = 0;   // least overlap of neighbours
  int halo_px = 0;      // this many pixels along an inner tile edge are computed and thrown away: they miss
                        // context. 2 * halo <= overlap. The fade uses what remains, overlap - 2 * halo px; if
                        // that is 0, tiles are cropped hard
  int multiple_of = 1;  // tile sides and positions are multiples of this
  Extent margin{0, 0};  // that much of the image's continuation is computed around it and thrown away: for
                        // axes that wrap. A tile must be longer than the overlap and two margins
  TileBlend blend = TileBlend::smooth;
};

// One axis of the grid.
struct TileAxis {
  int size = 0;  // of the image
  int tile = 0;  // side of the longest tile, and of every tile unless `length` is set: a multiple of
                 // multiple_of. The last one may reach beyond the image, by less than multiple_of
  int ramp = 0;  // px over which neighbours fade
  std::vector<int> first;   // [count], ascending: first pixel of each tile; negative within a margin
  std::vector<int> length;  // [count] or none. Hard blending
  std::vector<int> seam;    // [count - 1]: where the ramp between tiles i and i + 1 begins
  Fade fade = Fade::smooth;

  int count() const { return int(first.size()); }
  int side(int i) const { return length.empty() ? tile : length[i]; }
  // The part of the output that tile i contributes to, in HR pixels of an image scaled by `scale`;
  // size * scale < 2^31.
  Share share(int i, int scale) const;
  // The longest share and its ramp, in HR pixels: bounds for TileBlender::bytes_for.
  int max_share(int scale) const;
};

struct TileGrid {
  TileAxis y, x;
  Extent tile() const { return {y.tile, x.tile}; }
  Extent tile(int ty, int tx) const { return {y.side(ty), x.side(tx)}; }
  int64_t count() const { return int64_t(y.count()) * x.count(); }
  // LR pixels computed, the overlap included: what the running time is proportional to.
  int64_t pixels() const;
};

// As few tiles as cover the image with the wanted overlap, then the smallest tile that needs no more of them,
// spread evenly. All tiles have one extent, but for hard blending. An image within one tile gives one tile of
// its size (rounded up to multiple_of). Error{Code::usage} for sizes < 1, a tile not longer than its overlap,
// 2 * halo > overlap.
TileGrid tile_grid(Extent image, const TileRequest& request);

}  // namespace ups
