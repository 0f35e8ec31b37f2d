// Random transformer sublayers with their weights as plain matrices, shared by the CPU and the CUDA tests.
#pragma once

#include "tests/reference/sublayers.h"
#include "tests/testing.h"

namespace ups::testing {

struct SublayerShape {
  Extent window, keys, shift;
  int windows_y, windows_x, heads, d, c;
  bool cosine;
  NormAt norm_at;
  int hidden;
  bool biases = true;
  Extent size() const { return {window.h * windows_y, window.w * windows_x}; }
};

// The networks' sublayers at sizes a naive loop bears: SwinIR, its lightweight form and a JPEG window of 7,
// Swin2SR, HAT with a norm of its own, overlapping keys, a grid of windows narrower than tall, odd sizes.
inline std::vector<SublayerShape> sublayer_shapes() {
  return {
      {{8, 8}, {8, 8}, {0, 0}, 1, 2, 2, 30, 60, false, NormAt::before, 120},
      {{8, 8}, {8, 8}, {4, 4}, 2, 2, 6, 10, 60, false, NormAt::before, 120},
      {{8, 8}, {8, 8}, {4, 4}, 1, 1, 6, 30, 180, false, NormAt::before, 360},
      {{7, 7}, {7, 7}, {3, 3}, 2, 1, 3, 16, 48, false, NormAt::before, 96},
      {{8, 8}, {8, 8}, {4, 4}, 2, 1, 3, 20, 60, true, NormAt::after, 132},
      {{8, 8}, {8, 8}, {0, 0}, 1, 2, 2, 12, 24, true, NormAt::after, 50, false},
      {{4, 8}, {4, 8}, {2, 4}, 3, 1, 2, 7, 14, false, NormAt::none, 15},
      {{16, 16}, {16, 16}, {8, 8}, 2, 1, 2, 24, 48, false, NormAt::none, 96},
      {{16, 16}, {24, 24}, {0, 0}, 1, 2, 2, 15, 30, false, NormAt::none, 60},
      {{4, 4}, {6, 6}, {0, 0}, 2, 3, 3, 5, 15, false, NormAt::before, 33},
      {{8, 8}, {8, 8}, {4, 4}, 1, 1, 8, 30, 240, false, NormAt::before, 100},
      {{2, 3}, {2, 3}, {1, 1}, 3, 2, 1, 8, 8, false, NormAt::before, 9, false},
  };
}

// Any that a window of at most 64 pixels and 200 channels allow.
inline SublayerShape random_sublayer_shape(Random& random) {
  SublayerShape s{};
  s.window = {random.integer(1, 8), random.integer(1, 8)}, s.keys = s.window;
  if (random.integer(0, 1)) s.shift = {random.integer(0, s.window.h - 1), random.integer(0, s.window.w - 1)};
  s.windows_y = random.integer(1, 3), s.windows_x = random.integer(1, 3);
  // A cosine divides by lengths. Those of few channels are now and then near zero, and then roundings of q
  // and k before it turn the vector round.
  s.cosine = random.integer(0, 1) != 0;
  s.d = random.integer(s.cosine ? 8 : 1, 32);
  s.heads = random.integer(1, std::min(6, 200 / s.d)), s.c = s.heads * s.d;
  if (s.c < 4) s.heads *= 4, s.c *= 4;  // a norm over one or two channels has no spread to divide by
  // A norm behind the projection divides by the spread of few channels, which may be as small as their
  // rounding.
  s.norm_at = NormAt(random.integer(0, s.c < 48 ? 1 : 2));
  s.hidden = random.integer(1, 150), s.biases = random.integer(0, 3) != 0;
  return s;
}

// Windows of up to 256 pixels and 192 channels, half of them with keys around the window.
inline SublayerShape random_wide_shape(Random& random) {
  SublayerShape s = random_sublayer_shape(random);
  s.window = {random.integer(3, 16), random.integer(3, 16)}, s.keys = s.window;
  s.windows_y = random.integer(1, 2), s.windows_x = random.integer(1, 2);
  s.heads = std::min(s.heads, 3);
  s.d = std::min(s.d, 192 / s.heads), s.c = s.heads * s.d;
  if (random.integer(0, 1)) {
    s.keys = {s.window.h + 2 * random.integer(0, 4), s.window.w + 2 * random.integer(0, 4)};
    s.norm_at = s.norm_at == NormAt::before ? NormAt::none : s.norm_at;
  }
  const bool shifted = s.keys == s.window && random.integer(0, 2);
  s.shift = shifted ? Extent{random.integer(0, s.window.h - 1), random.integer(0, s.window.w - 1)} : Extent{};
  return s;
}

struct SublayerCase {
  reference::Matrices m;
  std::vector<float> gamma, beta, table, scales;
  AttentionSublayer<Tensor> attention;  // without operands; weights of shapes alone but for norm and bias
  MlpSublayer<Tensor> mlp;
};

inline SublayerCase sublayer_case(Random& random, const SublayerShape& s) {
  SublayerCase t;
  const int width = s.heads * s.d;
  // Spread so that every linear layer keeps the spread of what it is given.
  const auto matrix = [&](int cout, int cin) {
    return random.normals(size_t(cout) * cin, 1 / std::sqrt(float(cin)));
  };
  const auto vector = [&](int n) { return s.biases ? random.normals(n, 0.3f) : std::vector<float>{}; };
  t.m.qkv = matrix(3 * width, s.c), t.m.qkv_bias = vector(3 * width);
  t.m.proj = matrix(s.c, width), t.m.proj_bias = vector(s.c);
  t.m.fc1 = matrix(s.hidden, s.c), t.m.fc1_bias = vector(s.hidden);
  t.m.fc2 = matrix(s.c, s.hidden), t.m.fc2_bias = vector(s.c);
  t.gamma = random.normals(s.c), t.beta = random.normals(s.c, 0.3f);
  const int places = (s.window.h + s.keys.h - 1) * (s.window.w + s.keys.w - 1);
  t.table = random.normals(size_t(s.heads) * places);
  for (int n = 0; n < s.heads; n++) t.scales.push_back(random.uniform(1, 10));

  AttentionSublayer<Tensor>& a = t.attention;
  a.norm_at = t.mlp.norm_at = s.norm_at;
  a.window = s.window, a.keys = s.keys, a.shift = s.shift;
  a.heads = s.heads, a.d = s.d, a.cosine = s.cosine, a.scale = 1 / std::sqrt(float(s.d));
  a.qkv.cout = 3 * width, a.qkv.cin = s.c, a.qkv.k = 1;
  a.proj.cout = s.c, a.proj.cin = width, a.proj.k = 1;
  a.bias.cout = s.heads, a.bias.cin = places, a.bias.k = 1;
  a.norm.cout = s.c, a.norm.cin = 1, a.norm.k = 1;
  t.mlp.norm = a.norm;
  t.mlp.fc1.cout = s.hidden, t.mlp.fc1.cin = s.c, t.mlp.fc1.k = 1;
  t.mlp.fc2.cout = s.c, t.mlp.fc2.cin = s.hidden, t.mlp.fc2.k = 1;
  return t;
}
// Points the weights that reference and CPU read as they are: the norm's, and the attention's bias.
inline void attach_flat(SublayerCase& t) {
  t.attention.norm.w = t.mlp.norm.w = t.gamma.data();
  t.attention.norm.bias = t.mlp.norm.bias = t.beta.data();
  t.attention.bias.w = t.table.data();
  t.attention.bias.bias = t.attention.cosine ? t.scales.data() : nullptr;
}

}  // namespace ups::testing
