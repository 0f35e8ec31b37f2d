// What the convolution drivers hand to the per-ISA kernels: plain structs, no std header (ODR: see
// targets.h).
#pragma once

#include <stdint.h>

#include "kernels/cpu/statistics.h"
#include "kernels/ops.h"

namespace ups::cpu {

// What happens to a sum before it is stored:
//   y = shuffle(act(sum + bias) * scale + add[0].scale * add[0] + add[1].scale * add[1])
// or, with act_last, shuffle(act((sum + bias) * scale + ...)).
struct Epilogue {
  struct Add {
    const float* data;
    int64_t row, px;
    int group;
    float scale;
  };
  Act act = Act::none;
  float slope = 0, scale = 1;
  bool act_last = false;
  const float* bias = nullptr;    // padded with zeros to a multiple of kCoutPad
  const float* slopes = nullptr;  // idem; null unless Act::prelu
  Add add[2];
  int adds = 0;
  float* y = nullptr;
  int64_t y_row = 0, y_px = 0;
  int shuffle = 1;
  int cout = 0;
};
constexpr int kCoutPad = 64;

constexpr int round_up(int a, int b) { return (a + b - 1) / b * b; }
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

constexpr int kMaxTileW = 48;  // output pixels of one line of a direct tile

// Direct convolution of one image.
struct DirectArgs {
  const float* x = nullptr;  // [h, w, cin], strides x_row, x_px
  int64_t x_row = 0, x_px = 0;
  int h = 0, w = 0, cin = 0;
  int cin_pad = 0;  // floats per pixel of the patch
  int k = 3, stride = 1, up = 1, cout = 0;
  int pad = 1;                   // zeros before the first row and column
  const void* weight = nullptr;  // [k, k, cin, cout]
  bool weight_f16 = false;
  float* panel = nullptr;  // packed weights
  bool dot = false;        // few outputs: lanes run over cin instead of cout
  int out_w = 0, row_begin = 0, row_end = 0;
  int tile_h = 0, tile_w = 0, tiles_x = 0;
  int patch_w = 0;  // pixels per patch row
  Epilogue epilogue;
  ChunkSums sums;  // of the output; tile_w is then a multiple of kChunkColumns
};

}  // namespace ups::cpu
