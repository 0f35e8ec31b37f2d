// Winograd F(4x4, 3x3) convolution: arguments and per-ISA entry points.
//
// y tile [4, 4] = A^T [ sum over ci of U[ci, co] . V[ci] ] A,  U = G g G^T,  V = B^T d B,  d an input tile
// [6, 6] (Lavin and Gray 2016) with the interpolation points 0, +-sqrt(1/2), +-sqrt(2), infinity, whose
// rounding errors are half of those of 0, +-1, +-2. 36 products replace 144.
#pragma once

#include "kernels/cpu/conv2d_args.h"

namespace ups::cpu {

constexpr int kWinogradXi = 36;  // products per tile and pair of channels
constexpr int kChunkTiles = kChunkColumns / 4;

struct WinogradArgs {
  const float* x = nullptr;  // [h, w, cin], strides x_row, x_px
  int64_t x_row = 0, x_px = 0;
  int h = 0, w = 0, cin = 0, cout = 0, up = 1;
  const void* weight = nullptr;  // [3, 3, cin, cout]
  bool weight_f16 = false;

  // U: output channels [co_begin, co_end) as [block][xi][cin][2 vectors]; a block starts u_block floats after
  // the last one, a xi u_xi floats.
  float* u = nullptr;
  int64_t u_xi = 0, u_block = 0;
  int co_begin = 0, co_end = 0;
  // 1, or with a pixel shuffle by r, r * r: output channel c * phases + p of the weights is then p * cout /
  // phases + c here, so that a vector of them goes to one pixel. Bias and slopes are in this order, too.
  int phases = 1;

  // V: [xi][tile][channel].
  int64_t v_xi = 0, v_tile = 0;

  // Tiles in raster order; tile row 0 is output row 0. Only rows [row_begin, row_end) are stored, and only
  // input rows (after up) [in_begin, in_end) exist.
  int tile_row = 0, tiles_x = 0, tiles = 0;
  int out_w = 0, row_begin = 0, row_end = 0, in_begin = 0, in_end = 0;
  Epilogue epilogue;
  ChunkSums
      sums;  // of the output; tiles_x and what winograd_output is given are then multiples of kChunkTiles
};

struct WinogradKernels {
  int lanes;
  int tile_step;  // tiles per block are best a multiple of this
  // U for weight item `item` of winograd_weight_items().
  void (*weights)(const WinogradArgs&, int item);
  // V channels [c0, c1) of tiles [first, first + count); c0 is a multiple of lanes. patch: 36 * (c1 - c0 +
  // 16).
  void (*input)(const WinogradArgs&, int first, int count, int c0, int c1, float* v, float* patch);
  // Products, output transform and epilogue of tiles [first, first + count). m: winograd_m_floats(count).
  void (*output)(const WinogradArgs&, int first, int count, const float* v, float* m);
};
const WinogradKernels& winograd_kernels();

constexpr int kWeightRows = 8;  // input channels per weight item
inline int winograd_weight_items(const WinogradArgs& a, int lanes) {
  return ceil_div(a.co_end - a.co_begin, 2 * lanes) * ceil_div(a.cin, kWeightRows);
}
// One line more than needed between xi: 36 streams a power of two apart would share few cache sets.
constexpr int64_t kXiGap = 16;
// Room for the products of `count` tiles and two vectors of output channels; tile groups round up to 12 at
// most.
inline int64_t winograd_m_floats(int count, int lanes) {
  return kWinogradXi * (int64_t(round_up(count, 12)) * 2 * lanes + kXiGap);
}

// How the tiles of one call are shared out: blocks of whole register tiles, small enough for a core's L2, as
// many for each thread.
struct WinogradBlocks {
  int step, units, items;  // units of `step` tiles in `items` blocks
  int64_t v_floats, m_floats, thread_floats;

  // step: kernels.tile_step or a multiple. Sets a.v_tile and a.v_xi.
  WinogradBlocks(WinogradArgs& a, int step, int threads);
};
struct Context;
// Input transforms, products and outputs of all tiles of one image; U is there.
// memory: thread_floats per thread.
void run_winograd_blocks(const WinogradArgs& a, const WinogradBlocks& blocks, Context& context,
                         float* memory);

struct Rows;
// Shapes of `op` for output rows [begin, end) in tiles of tile x tile pixels, image 0; U, V, x and the
// epilogue are left to the caller.
WinogradArgs make_winograd(const Conv2d<Tensor>& op, Rows rows, int tile = 4);
// Before a pixel shuffle, where it pays, sorts output channels by the pixel they go to: a.phases, and bias
// and slopes in make_epilogue()'s room.
void sort_phases(WinogradArgs& a, const Conv2d<Tensor>& op, float* room, int lanes);

}  // namespace ups::cpu
