// Driver of the Winograd F(4x4, 3x3) convolution: memory, blocks of tiles, threads.
//
// A work item is a block of tiles: its V and its products stay in one core's L2, U is shared by all blocks.
#include "kernels/cpu/conv2d_winograd.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv2d_parts.h"
#include "kernels/cpu/denormals.h"

namespace ups::cpu {
namespace {

constexpr int64_t kMaxUBytes = 8 << 20;  // wider layers run in groups of output channels
// Of one block, in a 1 MiB L2. 512 channels then have 8 tiles, which read U half as often as 4 (decoding of a
// 512x512 picture by an autoencoder: processor time 4.99 -> 4.56 s).
constexpr int64_t kMaxVBytes = 620 << 10;

// values[c * phases + p] -> values[p * count / phases + c]
void sort_by_phase(float* values, int count, int phases) {
  const std::vector<float> from(values, values + count);
  for (int i = 0; i < count; i++) values[i % phases * (count / phases) + i / phases] = from[i];
}

}  // namespace

WinogradArgs make_winograd(const Conv2d<Tensor>& op, Rows rows, int tile) {
  const Extent out = conv_extent(op);
  WinogradArgs a;
  a.h = op.x.h, a.w = op.x.w, a.cin = op.w.cin, a.cout = op.w.cout, a.up = op.up;
  a.x_row = op.x.row, a.x_px = op.x.px;
  a.weight = op.w.w, a.weight_f16 = op.w.dtype == DType::f16;
  a.out_w = out.w, a.row_begin = rows.begin, a.row_end = rows.end;
  a.in_begin = std::max(0, rows.begin - 1), a.in_end = std::min(op.x.h * op.up, rows.end + 1);
  a.tile_row = rows.begin / tile;
  a.tiles_x = ceil_div(out.w, tile);
  a.tiles = (ceil_div(rows.end, tile) - a.tile_row) * a.tiles_x;
  return a;
}

void sort_phases(WinogradArgs& a, const Conv2d<Tensor>& op, float* room, int lanes) {
  const int phases = op.shuffle * op.shuffle, padded = round_up(a.cout, kCoutPad);
  // Sorting the weights costs as much as about cin / 2 tiles of 4 x 4 pixels save.
  const bool pays = 2 * int64_t(a.row_end - a.row_begin) * a.out_w > 16 * int64_t(a.cin);
  if (phases == 1 || a.epilogue.adds > 0 || !pays || a.cout % (phases * 2 * lanes) != 0) return;
  a.phases = phases;
  sort_by_phase(room, a.cout, phases);
  if (a.epilogue.slopes) sort_by_phase(room + padded, a.cout, phases);
}

WinogradBlocks::WinogradBlocks(WinogradArgs& a, int step, int threads) : step(step) {
  const int lanes = winograd_kernels().lanes, cin_pad = round_up(a.cin, lanes);
  units = ceil_div(a.tiles, step);
  int most = std::max(1, int(kMaxVBytes / 4 / kWinogradXi / cin_pad / step));
  most = std::min(most / 3 * 3 + (most < 3 ? most : 0), 12);
  items = std::min(units, round_up(ceil_div(units, most), threads));
  const int tile_most = ceil_div(units, items) * step;
  a.v_tile = cin_pad, a.v_xi = int64_t(tile_most) * cin_pad + kXiGap;
  v_floats = kWinogradXi * a.v_xi + 12 * cin_pad;
  m_floats = winograd_m_floats(tile_most, lanes);
  thread_floats = (v_floats + m_floats + int64_t(kWinogradXi) * cin_pad + 63) / 64 * 64;
}

void run_winograd_blocks(const WinogradArgs& a, const WinogradBlocks& blocks, Context& context,
                         float* memory) {
  const WinogradKernels& kernels = winograd_kernels();
  context.pool.for_each(blocks.items, [&](int item, int thread) {
    const FlushDenormals flush;
    float* v = memory + thread * blocks.thread_floats;
    float* m = v + blocks.v_floats;
    const int first = int(int64_t(blocks.units) * item / blocks.items) * blocks.step;
    const int last = std::min(a.tiles, int(int64_t(blocks.units) * (item + 1) / blocks.items) * blocks.step);
    kernels.input(a, first, last - first, 0, a.cin, v, m + blocks.m_floats);
    kernels.output(a, first, last - first, v, m);
  });
}

void run_winograd(const Conv2d<Tensor>& op, Context& context, Rows rows, const GroupStats<Tensor>* stats) {
  const WinogradKernels& kernels = winograd_kernels();
  WinogradArgs a = make_winograd(op, rows);
  const int lanes = kernels.lanes, threads = context.pool.threads();
  // Blocks consist of whole chunks if there are statistics; rows of tiles, too, the last tiles of which may
  // lie outside.
  const int step = stats ? kChunkTiles : kernels.tile_step;
  if (stats) {
    const int tile_rows = a.tiles / a.tiles_x;
    a.tiles_x = round_up(a.tiles_x, kChunkTiles), a.tiles = tile_rows * a.tiles_x;
  }
  const WinogradBlocks tiles(a, step, threads);

  a.u_xi = int64_t(a.cin) * 2 * lanes + kXiGap;
  a.u_block = kWinogradXi * a.u_xi;
  const int blocks = ceil_div(a.cout, 2 * lanes);
  const int group = std::clamp(int(kMaxUBytes / 4 / a.u_block), 1, blocks);  // of blocks of output channels

  const int64_t u_floats = group * a.u_block;
  const int64_t cout_floats = 2 * round_up(a.cout, kCoutPad);
  const int64_t stats_floats = stats ? statistics_floats(*stats, rows, threads) : 0;
  float* memory = static_cast<float*>(context.scratch.get(
      (u_floats + cout_floats + threads * tiles.thread_floats + stats_floats) * sizeof(float)));
  a.u = memory;
  a.epilogue = make_epilogue(op, memory + u_floats);
  sort_phases(a, op, memory + u_floats, lanes);
  float* per_thread = memory + u_floats + cout_floats;
  if (stats) a.sums = chunk_sums(*stats, rows, per_thread + threads * tiles.thread_floats);

  for (int block = 0; block < blocks; block += group) {
    a.co_begin = block * 2 * lanes, a.co_end = std::min(a.cout, (block + group) * 2 * lanes);
    context.pool.for_each(winograd_weight_items(a, lanes), [&](int item, int) { kernels.weights(a, item); });
    for (int image = 0; image < op.x.n; image++) {
      a.x = static_cast<const float*>(op.x.data) + image * op.x.image;
      aim_epilogue(a.epilogue, op, image);
      run_winograd_blocks(a, tiles, context, per_thread);
    }
  }
  if (stats) add_statistics(*stats, rows, a.sums, context);
}

}  // namespace ups::cpu
