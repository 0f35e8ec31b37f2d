// The halves of a transformer layer as their definitions in kernels/sublayer_ops.h read, on top of the
// definitions of their parts. Weights are plain matrices; what passes between the parts is rounded to float.
#pragma once

#include <functional>

#include "kernels/sublayer_ops.h"
#include "tests/reference/attention.h"

namespace ups::reference {

// [h * w, c] as float, dense.
using Pixels = std::vector<float>;

inline Pixels pixels_of(const Tensor& t) {
  Pixels out;
  for (int y = 0; y < t.h; y++)
    for (int x = 0; x < t.w; x++) out.insert(out.end(), t.at(y, x), t.at(y, x) + t.c);
  return out;
}
inline Pixels to_float(const std::vector<double>& v) { return {v.begin(), v.end()}; }

// matrix [cout, cin], bias [cout] or empty
inline Pixels linear(const Pixels& x, const std::vector<float>& matrix, const std::vector<float>& bias,
                     int cin) {
  const size_t cout = matrix.size() / size_t(cin), pixels = x.size() / size_t(cin);
  Pixels out(pixels * cout);
  for (size_t p = 0; p < pixels; p++)
    for (size_t o = 0; o < cout; o++) {
      double sum = bias.empty() ? 0 : bias[o];
      for (int c = 0; c < cin; c++) sum += double(x[p * cin + c]) * matrix[o * cin + c];
      out[p * cout + o] = float(sum);
    }
  return out;
}

inline Pixels normalised(Pixels x, Extent e, int c, const Weight& w, float eps) {
  LayerNorm<Tensor> op;
  op.x = dense_f32(x.data(), e.h, e.w, c), op.w = w, op.eps = eps;
  return to_float(layer_norm(op));
}

// What a fused kernel may round to its storage type on the way: identity, or rounding to that type. The
// result is not rounded.
using Rounding = std::function<float(float)>;
inline void round_all(Pixels& x, const Rounding& round) {
  if (round)
    for (float& v : x) v = round(v);
}

struct Matrices {
  std::vector<float> qkv, qkv_bias, proj, proj_bias;  // of an attention sublayer
  std::vector<float> fc1, fc1_bias, fc2, fc2_bias;    // of an MLP
};

inline Pixels attention_sublayer(const AttentionSublayer<Tensor>& op, const Matrices& m,
                                 const Rounding& round = {}) {
  const Extent e = op.x.extent();
  const int c = op.x.c, width = op.heads * op.d;
  Pixels n = pixels_of(op.x);
  if (op.norm_at == NormAt::before) n = normalised(n, e, c, op.norm, op.eps);
  round_all(n, round);
  Pixels qkv = linear(n, m.qkv, m.qkv_bias, c);
  round_all(qkv, round);
  WindowAttention<Tensor> attention;
  attention.x = dense_f32(qkv.data(), e.h, e.w, 3 * width);
  attention.y = dense_f32(nullptr, e.h, e.w, width);
  attention.bias = op.bias;
  attention.window = op.window, attention.keys = op.keys, attention.shift = op.shift;
  attention.heads = op.heads, attention.d = op.d, attention.scale = op.scale, attention.cosine = op.cosine;
  Pixels a = to_float(window_attention(attention));
  round_all(a, round);
  Pixels y = linear(a, m.proj, m.proj_bias, width);
  if (op.norm_at == NormAt::after) y = normalised(y, e, c, op.norm, op.eps);
  const Pixels residual = pixels_of(op.residual);
  for (size_t i = 0; i < y.size(); i++) y[i] += residual[i];
  return y;
}

inline Pixels mlp_sublayer(const MlpSublayer<Tensor>& op, const Matrices& m, const Rounding& round = {}) {
  const Extent e = op.x.extent();
  const int c = op.x.c;
  const Pixels x = pixels_of(op.x);
  Pixels n = op.norm_at == NormAt::before ? normalised(x, e, c, op.norm, op.eps) : x;
  round_all(n, round);
  Pixels hidden = linear(n, m.fc1, m.fc1_bias, c);
  for (float& v : hidden) v = float(0.5 * v * std::erfc(-double(v) / std::sqrt(2.0)));
  round_all(hidden, round);
  Pixels y = linear(hidden, m.fc2, m.fc2_bias, int(m.fc1.size() / size_t(c)));
  if (op.norm_at == NormAt::after) y = normalised(y, e, c, op.norm, op.eps);
  const Pixels add = op.add.t.data ? pixels_of(op.add.t) : Pixels(y.size(), 0.0f);
  for (size_t i = 0; i < y.size(); i++) y[i] += x[i] + op.add.scale * add[i];
  return y;
}

}  // namespace ups::reference
