// Window attention and layer normalisation: arguments and per-ISA entry points.
#pragma once

#include <stdint.h>

namespace ups::cpu {

struct LayerNormArgs {
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float eps = 0;
  int c = 0;
};

// One head of one window. Pixels are addressed by their offset in floats behind x (or y); -1: outside.
struct HeadArgs {
  const float* x = nullptr;             // channel 0 of the head's q at pixel offset 0
  int64_t k_at = 0, v_at = 0;           // from q to k and v of a pixel, floats
  const int64_t* query_at = nullptr;    // [queries] -1: y_at is -1, too
  const int64_t* key_at = nullptr;      // [keys]
  const uint8_t* query_side = nullptr;  // [queries] side of the seam; null: no mask
  const uint8_t* key_side = nullptr;    // [keys]
  int queries = 0, keys = 0, d = 0;
  int window_w = 0, keys_h = 0, keys_w = 0;
  const float* bias = nullptr;       // [window_h + keys_h - 1][bias_w]
  int bias_w = 0, bias_top = 0;      // bias_top: row of key row 0 for query row 0
  const float* bias_rows = nullptr;  // [queries][keys_pad] as AttentionKernels::bias made it; null: from bias
  const int64_t* next_at = nullptr;  // [keys] pixels to fetch meanwhile: the next window's; null: none
  float scale = 1;
  bool cosine = false;
  float* y = nullptr;             // channel 0 of the head at pixel offset 0
  const int64_t* y_at = nullptr;  // [queries]
  float* memory = nullptr;        // head_floats()
};

struct AttentionKernels {
  int lanes;
  // n pixels: y[p] = normalised x[p] (+ add[p]); pixel strides in floats; add may be null. x may be y.
  void (*layer_norm)(const LayerNormArgs&, const float* x, int64_t x_px, const float* add, int64_t add_px,
                     float* y, int64_t y_px, int n);
  void (*head)(const HeadArgs&);
  // The bias of every query of a head, without a mask, padded: [queries][bias_row_floats(keys)].
  void (*bias)(const HeadArgs&, float* rows);
  int64_t (*bias_row_floats)(int keys);
  int64_t (*head_floats)(int queries, int keys, int d);
};
const AttentionKernels& attention_kernels();

}  // namespace ups::cpu
