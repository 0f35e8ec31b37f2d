// Winograd convolution with large tiles, F(6x6, 3x3) and F(8x8, 3x3), for layers of many channels: per-ISA
// entry points.
//
// A layer of 256 -> 256 channels has 16 to 26 MB of U = G g G^T, more than any cache near a core. So U is
// never whole: a work item is a block of output channels, and makes U of one row of xi after the other, in
// L2, for all tiles at once. V of these tiles is computed before and streams from L3.
#pragma once

#include "kernels/cpu/conv2d_winograd.h"

namespace ups::cpu {

struct LargeWinogradKernels {
  int lanes;
  // V [xi][tile][a.v_tile] of tiles [first, first + count), whose first goes to v. patch: xi * a.v_tile.
  void (*input)(const WinogradArgs& a, int first, int count, float* v, float* patch);
  // Output channels [co, co + 2 * lanes) of tiles [first, first + count), from the first one's V.
  // room: large_winograd_room().
  void (*output)(const WinogradArgs& a, int first, int count, int co, const float* v, float* room);
};
// tile: 6 or 8 pixels.
const LargeWinogradKernels& large_winograd_kernels(int tile);

// Floats that output() works in: weights, U of one row of xi, products.
inline int64_t large_winograd_room(int tile, int cin, int count, int lanes) {
  const int64_t n = tile + 2, two = 2 * lanes;
  return 9 * cin * two + n * (cin * two + kXiGap) + n * n * (count * two + kXiGap);
}

}  // namespace ups::cpu
