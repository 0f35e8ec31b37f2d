// Which tiles a Winograd convolution on CPUs takes, and so at which rows parts of an image may begin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "kernels/ops.h"
#include "kernels/sublayer_ops.h"

namespace ups::cpu {

// Side of the output tile for 3x3 convolutions of some, of many and of very many channels: larger tiles need
// fewer products and round more (docs/kernels.md). Images of few tiles take 4 all the same; so do larger
// images of 64 channels, which wait for memory whatever the tile, and wide convolutions whose sums are the
// output: what follows may be a group normalisation, whose statistics tiles of 4 take along. out: the
// output's extent before a pixel shuffle.
template <class T>
constexpr int winograd_tile(const Conv2d<T>& op, Extent out) {
  const bool fits = op.w.k == 3 && op.stride == 1 && op.up <= 2 && !op.pad_end && op.w.cout >= op.w.cin;
  const bool more = op.act != Act::none || op.scale != 1 || op.shuffle > 1;
  if (fits && op.w.cin >= 192) return more ? 8 : 4;
  return fits && op.w.cin >= 64 && op.w.cin < 128 && out.pixels() <= 128 * 128 ? 6 : 4;
}

// Rows of the output, before a pixel shuffle, that are computed together: a part of an image that begins at a
// multiple of them has the bits of the whole.
template <class T>
constexpr int row_step(const Conv2d<T>& op, Extent out) {
  const int tile = winograd_tile(op, out);
  return tile == 6 ? 12 : tile;
}
// Sums of a pixel round with its partner's (panel.h): a part begins where a pair of panels, at most 64
// pixels, does.
template <class T>
constexpr int row_step(const MlpSublayer<T>&, Extent out) {
  return std::max(4, 64 / std::gcd(64, out.w));
}
template <class Op>
constexpr int row_step(const Op&, Extent) {
  return 4;
}

// Scratch memory, at most, that run() takes where tiles are larger than 4; else 0.
size_t large_winograd_scratch_bytes(const Conv2d<Tensor>& op, int threads);

}  // namespace ups::cpu
