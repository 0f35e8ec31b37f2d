// One row of the operators of kernels/gate_ops.h: per-ISA entry points, reached through run-time dispatch.
#pragma once

#include <stdint.h>

#include "kernels/ops.h"

namespace ups::cpu {

// w pixels of c channels, px floats apart.
struct PixelRow {
  const float* data = nullptr;
  int64_t px = 0;
  float scale = 0;  // of an addend
};

struct GateRow {
  PixelRow x, g, add;  // add.data null: absent
  bool one_gate = false;
  bool sigmoid = true;
  float mix = 0, shift = 0;
};

struct DepthwiseRow {
  const float* x[5] = {};  // k input rows, null above and below the image
  int64_t x_px = 0;
  int k = 3;
  const float* weight = nullptr;  // [k, k, c]
  const float* bias = nullptr;    // [c]
  PixelRow gate;                  // data null: absent
  Act act = Act::none;
  float slope = 0;
};

struct GateRows {
  // out[c] += sum over the row, in runs of 64 pixels in float, then double.
  void (*sum)(PixelRow x, int w, int c, double* out);
  // y = x * s + add + add2
  void (*scale)(PixelRow x, const float* s, PixelRow add, PixelRow add2, int w, int c, float* y, int64_t px);
  void (*gate)(const GateRow& row, int w, int c, float* y, int64_t px);
  void (*depthwise)(const DepthwiseRow& row, int w, int c, float* y, int64_t px);
};
const GateRows& gate_rows();

}  // namespace ups::cpu
