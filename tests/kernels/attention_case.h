// Random LayerNorm and WindowAttention operators with their memory, shared by the CPU and the CUDA tests.
#pragma once

#include "kernels/ops.h"
#include "tests/testing.h"

namespace ups::testing {

struct LayerNormCase {
  LayerNorm<Tensor> op;
  std::vector<float> x, add, y, gamma, beta;
};

// Means far from zero and spreads of any size; x and y may be slices of wider images.
inline LayerNormCase layer_norm_case(Random& random, int h, int w, int c) {
  LayerNormCase t;
  const int x_px = c + random.integer(0, 5), y_px = c + random.integer(0, 5);
  t.x = random.normals(size_t(h) * w * x_px, random.uniform(0.1f, 3));
  const float mean = random.normal();
  for (float& v : t.x) v += mean;
  t.y.assign(size_t(h) * w * y_px, -7);
  t.gamma = random.normals(c), t.beta = random.normals(c);
  t.op.x = dense_f32(t.x.data(), h, w, x_px).channels(0, c);
  t.op.y = dense_f32(t.y.data(), h, w, y_px).channels(0, c);
  if (random.integer(0, 1)) {
    t.add = random.normals(size_t(h) * w * c);
    t.op.add = dense_f32(t.add.data(), h, w, c);
  }
  t.op.w.cout = c, t.op.w.k = 1, t.op.w.cin = 1;
  t.op.w.w = t.gamma.data(), t.op.w.bias = t.beta.data();
  return t;
}

struct AttentionCase {
  WindowAttention<Tensor> op;
  std::vector<float> x, y, table, scales;
};

struct AttentionShape {
  Extent window, keys, shift;
  int windows_y, windows_x, heads, d;
  bool cosine;
  int pad = 1;
  Extent size{};  // of the image when padded
};

inline AttentionCase attention_case(Random& random, const AttentionShape& s) {
  AttentionCase t;
  const int h = s.pad > 1 ? s.size.h : s.window.h * s.windows_y;
  const int w = s.pad > 1 ? s.size.w : s.window.w * s.windows_x;
  const int used = s.heads * s.d, spare = random.integer(0, 1) * used, width = used + spare;
  const int x_px = 3 * width + random.integer(0, 3), y_px = used + random.integer(0, 3);
  t.x = random.normals(size_t(h) * w * x_px, random.uniform(0.3f, 1.5f));
  t.y.assign(size_t(h) * w * y_px, -7);
  WindowAttention<Tensor>& op = t.op;
  op.x = dense_f32(t.x.data(), h, w, x_px).channels(0, 3 * width);
  op.y = dense_f32(t.y.data(), h, w, y_px).channels(0, used);
  op.window = s.window, op.keys = s.keys, op.shift = s.shift;
  op.heads = s.heads, op.d = s.d, op.first = spare, op.cosine = s.cosine;
  op.pad = s.pad;
  op.scale = 1 / std::sqrt(float(s.d));
  op.bias.cout = s.heads, op.bias.k = 1;
  op.bias.cin = (s.window.h + s.keys.h - 1) * (s.window.w + s.keys.w - 1);
  t.table = random.normals(size_t(s.heads) * op.bias.cin);
  for (int n = 0; n < s.heads; n++) t.scales.push_back(random.uniform(1, 10));
  op.bias.w = t.table.data(), op.bias.bias = s.cosine ? t.scales.data() : nullptr;
  return t;
}

// Every network's kind of window, at sizes a naive loop bears: SwinIR (also 7), one window with a shift,
// cosine (Swin2SR), 16 (HAT), overlapping keys at all borders (OCAB), rectangles (DAT), odd heads.
inline std::vector<AttentionShape> attention_shapes() {
  return {
      {{8, 8}, {8, 8}, {0, 0}, 2, 1, 2, 30, false},
      {{8, 8}, {8, 8}, {4, 4}, 2, 3, 2, 10, false},
      {{8, 8}, {8, 8}, {4, 4}, 1, 1, 1, 30, false},
      {{7, 7}, {7, 7}, {3, 3}, 2, 2, 1, 30, false},
      {{8, 8}, {8, 8}, {4, 4}, 2, 2, 3, 7, true},
      {{8, 8}, {8, 8}, {0, 0}, 1, 2, 1, 40, true},
      {{16, 16}, {16, 16}, {8, 8}, 2, 1, 1, 24, false},
      {{16, 16}, {24, 24}, {0, 0}, 1, 2, 1, 30, false},
      {{4, 4}, {6, 6}, {0, 0}, 3, 3, 2, 5, false},
      {{8, 32}, {8, 32}, {4, 16}, 2, 2, 1, 9, false},
      {{32, 8}, {32, 8}, {0, 0}, 1, 2, 1, 30, false},
      {{2, 3}, {2, 3}, {1, 1}, 3, 2, 2, 1, false},
      // padded: only at the right, smaller than a window, both sides with a seam
      {{8, 4}, {8, 4}, {0, 0}, 0, 0, 2, 7, false, 8, {8, 13}},
      {{4, 8}, {4, 8}, {2, 4}, 0, 0, 1, 9, false, 8, {3, 5}},
      {{4, 8}, {4, 8}, {2, 4}, 0, 0, 1, 9, false, 8, {13, 17}},
  };
}

}  // namespace ups::testing
