// Attention over the pixels of an image: arguments and per-ISA entry points. No std header (targets.h).
#pragma once

#include <stdint.h>

namespace ups::cpu {

struct PixelAttentionArgs {
  const float *q, *k, *v;
  float* y;
  int64_t q_px, k_px, v_px, y_px;  // from one token to the next
  int tokens = 0, d = 0, dv = 0;
  float scale = 1;
};

constexpr int kPixelQueries = 192;  // of a work item; a multiple of every register tile
constexpr int kPixelKeys = 64;      // per step of the streaming softmax; a multiple of two vectors

struct PixelAttentionKernels {
  int lanes;
  // Queries [first, first + count), count <= kPixelQueries. room: pixel_attention_room(d, dv, lanes) floats.
  void (*queries)(const PixelAttentionArgs&, int first, int count, float* room);
};

// Q, O, S, the panels of K and V, maxima and sums.
inline int64_t pixel_attention_room(int d, int dv, int lanes) {
  const int64_t out = (dv + 2 * lanes - 1) / (2 * lanes) * (2 * lanes);
  return kPixelQueries * (int64_t(d) + 16 + out + kPixelKeys + 2) + kPixelKeys * (d + out) + 64;
}

}  // namespace ups::cpu
