// Driver of Winograd convolution with large tiles: memory, parts of the image, threads.
#include "kernels/cpu/conv2d_winograd_large.h"

#include <algorithm>

#include "kernels/cpu/conv2d_parts.h"
#include "kernels/cpu/denormals.h"
#include "kernels/cpu/winograd_tile.h"

namespace ups::cpu {
namespace {

constexpr int64_t kMaxVBytes = 8 << 20;  // of one part of the image: stays in L3
constexpr int kInputTiles = 8;           // per work item of the input transform, at most
constexpr int kMaxTiles = 128;           // products of one part and a block of channels: about a core's L2

// Of a part.
int most_tiles(int xi, int cin_pad) { return std::clamp(int(kMaxVBytes / 4 / xi / cin_pad), 1, kMaxTiles); }

}  // namespace

size_t large_winograd_scratch_bytes(const Conv2d<Tensor>& op, int threads) {
  constexpr int kMaxLanes = 16;
  const int tile = variant_tile(variant_name(op)), xi = (tile + 2) * (tile + 2);
  if (tile <= 4) return 0;
  const Extent out = conv_extent(op);
  const int cin = round_up(op.w.cin, kMaxLanes), tiles = ceil_div(out.h, tile) * ceil_div(out.w, tile);
  const int most = std::min(tiles, most_tiles(xi, cin));
  const int64_t room = std::max(large_winograd_room(tile, cin, most, kMaxLanes), int64_t(xi) * cin);
  // Threads with a V each take little more for it, and less room than `most` tiles need.
  return sizeof(float) * size_t(xi * (int64_t(most) * cin + kXiGap) + 2 * round_up(op.w.cout, kCoutPad) +
                                128 + threads * (room + 64));
}

void run_large_winograd(const Conv2d<Tensor>& op, Context& context, Rows rows, int tile) {
  const LargeWinogradKernels& kernels = large_winograd_kernels(tile);
  WinogradArgs a = make_winograd(op, rows, tile);
  const int lanes = kernels.lanes, threads = context.pool.threads(), xi = (tile + 2) * (tile + 2);
  const int cin_pad = round_up(a.cin, lanes), blocks = ceil_div(a.cout, 2 * lanes);

  const int parts = ceil_div(a.tiles, most_tiles(xi, cin_pad)), most = ceil_div(a.tiles, parts);
  // Too few blocks of channels for the threads: each block's tiles in as many pieces, each with U of its own.
  // With very few, each thread takes tiles of its own through all blocks, the same ones in every layer, as
  // the pool gives them out. It has a V of its own, so that what is fetched ahead is never what another one
  // writes.
  int pieces = 1;
  const bool apart = blocks <= 2 && threads > 1 && most / threads >= 24;
  if (apart) pieces = threads;
  while (!apart && blocks * pieces % threads != 0 && blocks * pieces < 3 * threads &&
         most / (pieces + 1) >= 12)
    pieces++;
  const int piece_most = ceil_div(most, pieces);
  a.v_tile = cin_pad, a.v_xi = int64_t(apart ? piece_most : most) * cin_pad + kXiGap;

  const int64_t cout_floats = 2 * round_up(a.cout, kCoutPad), v_floats = xi * a.v_xi * (apart ? threads : 1);
  const int64_t room = std::max(large_winograd_room(tile, a.cin, piece_most, lanes), int64_t(xi) * cin_pad);
  const int64_t thread_floats = (room + 63) / 64 * 64;
  float* memory = static_cast<float*>(
      context.scratch.get((cout_floats + v_floats + 64 + threads * thread_floats) * sizeof(float)));
  a.epilogue = make_epilogue(op, memory);
  sort_phases(a, op, memory, lanes);
  float* v = memory + cout_floats;
  float* per_thread = v + (v_floats + 63) / 64 * 64;

  for (int image = 0; image < op.x.n; image++) {
    a.x = static_cast<const float*>(op.x.data) + image * op.x.image;
    aim_epilogue(a.epilogue, op, image);
    // Channels of all phases lie side by side in the weights: one after the other, they read them once.
    const auto first_channel = [&](int block) {
      return block % a.phases * (a.cout / a.phases) + block / a.phases * 2 * lanes;
    };
    if (apart) {
      const int items = parts * threads;
      context.pool.for_each(items, [&](int item, int thread) {
        const FlushDenormals flush;
        const int begin = int(int64_t(a.tiles) * item / items);
        const int count = int(int64_t(a.tiles) * (item + 1) / items) - begin;
        float* own_v = v + thread * xi * a.v_xi;
        float* own = per_thread + thread * thread_floats;
        kernels.input(a, begin, count, own_v, own);
        for (int block = 0; block < blocks; block++)
          kernels.output(a, begin, count, first_channel(block), own_v, own);
      });
      continue;
    }
    for (int part = 0; part < parts; part++) {
      const int begin = int(int64_t(a.tiles) * part / parts);
      const int count = int(int64_t(a.tiles) * (part + 1) / parts) - begin;
      const int items = std::min(count, round_up(ceil_div(count, kInputTiles), threads));
      context.pool.for_each(items, [&](int item, int thread) {
        const FlushDenormals flush;
        const int first = count * item / items;
        kernels.input(a, begin + first, count * (item + 1) / items - first, v + first * a.v_tile,
                      per_thread + thread * thread_floats);
      });
      context.pool.for_each(blocks * pieces, [&](int item, int thread) {
        const FlushDenormals flush;
        const int piece = item % pieces, first = count * piece / pieces;
        kernels.output(a, begin + first, count * (piece + 1) / pieces - first, first_channel(item / pieces),
                       v + first * a.v_tile, per_thread + thread * thread_floats);
      });
    }
  }
}

}  // namespace ups::cpu
