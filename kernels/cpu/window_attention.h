// Window attention and layer normalisation: arguments and per-ISA entry points.
//
// The queries of a window lie side by side, as in panels (panel.h): q, k and v are [channel][pixel], a few
// dozen queries at a time are the lanes of all that is computed, the keys are rows.
#pragma once

#include <stdint.h>

namespace ups::cpu {

struct LayerNormArgs {
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float eps = 0;
  int c = 0;
};

// Logits are in units of ln 2: what scales q and the bias table have log2(e) in them.
constexpr float kLog2E = 1.44269504f;

// One head of a panel of queries. All but k and v are aligned to 64 bytes and whole widths long.
struct AttendArgs {
  const float *q = nullptr, *k = nullptr, *v = nullptr;  // [d][...], scaled by kLog2E in all
  int64_t q_row = 0, k_row = 0, v_row = 0;
  int keys = 0, d = 0;
  const float* bias = nullptr;  // [keys][width]
  float* y = nullptr;           // [d][width]
  float* memory = nullptr;      // (keys + 2) * width floats
};

// The bias [keys][width] of queries [first, first + width) of a window to all keys.
struct BiasArgs {
  const float* table = nullptr;  // of the head, [window_h + keys_h - 1][window_w + keys_w - 1], last place
                                 // first, times kLog2E
  int window_w = 0, queries = 0, keys_h = 0, keys_w = 0;
  int first = 0;
  float* bias = nullptr;
};

// A mask for pixels on different sides of a seam: out = bias, less where the sides differ.
struct MaskArgs {
  const float* bias = nullptr;        // [keys][width]
  const float* query_side = nullptr;  // [width]
  const float* key_side = nullptr;    // [keys]
  int keys = 0;
  float* out = nullptr;
};

struct AttentionKernels {
  // n pixels: y[p] = normalised x[p] (+ add[p]); pixel strides in floats; add may be null. x may be y.
  void (*layer_norm)(const LayerNormArgs&, const float* x, int64_t x_px, const float* add, int64_t add_px,
                     float* y, int64_t y_px, int n);
  // y = softmax over the keys of (k q + bias), times v
  void (*attend)(const AttendArgs&);
  void (*bias)(const BiasArgs&);
  void (*mask)(const MaskArgs&);
  // t[d][row]: n pixels, a multiple of the width, each divided by its length (if `unit`), times scale.
  void (*scale)(float* t, int64_t row, int d, int n, bool unit, float scale);
};
const AttentionKernels& attention_kernels();

}  // namespace ups::cpu
