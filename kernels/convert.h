// Between interleaved pixels of any depth and float 0..1: tile crops with reflected borders, quantisation.
#pragma once

#include <cstdint>

#include "kernels/cpu/pool.h"
#include "kernels/tensor.h"

namespace ups {

enum class Depth : uint8_t { u8, u16, f32 };
constexpr int depth_bytes(Depth d) { return d == Depth::u8 ? 1 : d == Depth::u16 ? 2 : 4; }

// count values, dense. u8 and u16: v / max, correctly rounded. f32: a copy.
void to_float(const void* in, Depth depth, float* out, int64_t count);

// count values, dense. u8 and u16: floor(clamp(v, 0, 1) * max + 0.5), evaluated in float; NaN gives 0. This
// is the only rounding rule of the library. f32: a copy, neither clamped nor checked.
void from_float(const float* in, Depth depth, void* out, int64_t count);

// Which channels of a c-channel pixel go where: destination channel k takes source channel from[k].
struct ChannelMap {
  int count = 0;
  int from[4] = {0, 0, 0, 0};
};
constexpr ChannelMap kFirst1{1, {0}};                              // gray, or the red plane
constexpr ChannelMap kFirst3{3, {0, 1, 2}};                        // RGB of RGB or RGBA
constexpr ChannelMap kGrayTo3{3, {0, 0, 0}};                       // gray replicated
constexpr ChannelMap only(int channel) { return {1, {channel}}; }  // e.g. alpha: only(3)
constexpr ChannelMap first_channels(int count) { return {count, {0, 1, 2, 3}}; }

// Reflection without repeating the border pixel ("reflect 101"): index i of an n-pixel axis that goes on
// ... 2 1 [0 1 2 .. n-1] n-2 n-3 ... for ever. n = 1: always 0.
int reflect_101(int64_t i, int n);

// Which axes go on from their other end instead of being reflected: the picture is one period of a texture.
struct Wrap {
  bool x = false, y = false;
  bool any() const { return x || y; }
};

// i modulo n, in 0 .. n-1 for negative i too.
int wrapped(int64_t i, int n);

// Cuts a tile out of an image: tile(y, x, k) = image(reflect(y0 + y), reflect(x0 + x), map.from[k]) as float,
// with `wrapped` for `reflect` on the axes that wrap.
// image: [size.h, size.w, c] of `depth`, rows stride_bytes apart; the tile may lie partly or wholly outside.
// tile: f32, any strides, tile.c >= map.count (further channels untouched).
void crop_tile(const void* image, Extent size, int c, Depth depth, int64_t stride_bytes, int y0, int x0,
               const ChannelMap& map, const Tensor& tile, Pool& pool, Wrap wrap = {});

// Writes count channels of float rows into interleaved pixels, quantised as from_float:
//   image(y, x, first_c + k) = rows(y, x, k), k < count.   rows [h, w, rows_c] packed, count <= rows_c
// image: w pixels of image_c channels, rows stride_bytes apart. Its other channels are untouched.
void store_rows(const float* rows, int h, int w, int rows_c, int count, void* image, int image_c, int first_c,
                Depth depth, int64_t stride_bytes, Pool& pool);

// Luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in the form G + 0.299 (R - G) + 0.114 (B - G), which
// returns R = G = B unchanged. rgb [pixels, 3] -> gray [pixels]; in place (gray == rgb) is allowed.
void rgb_to_gray(const float* rgb, float* gray, int64_t pixels);

}  // namespace ups
