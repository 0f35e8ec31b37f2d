// The vocabulary, part two: operators that scale or mix the channels that are there (conventions:
// kernels/ops.h). Most are memory-bound, so each takes as addends what would be a pass of its own.
#pragma once

#include "kernels/ops.h"

namespace ups {

// y[.., c] = x[.., c] * scale[c] + shift[c]     images of at most 4 channels: mean and range of a network
template <class T>
struct Affine {
  static constexpr const char* kName = "affine";
  T x{}, y{};
  float scale[4] = {1, 1, 1, 1}, shift[4] = {};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  Affine<U> map(F&& f) const {
    return {f(x), f(y), {scale[0], scale[1], scale[2], scale[3]}, {shift[0], shift[1], shift[2], shift[3]}};
  }
  RowUse rows() const { return {}; }
};

// y = (x + mix * g) * (f(g) + shift) + add.scale * add.t,   f = sigmoid or identity
//   g [h, w, c] or [h, w, 1], which then gates all channels alike; add.group is 1
template <class T>
struct Gate {
  static constexpr const char* kName = "gate";
  T x{}, g{}, y{};
  bool sigmoid = true;
  float mix = 0, shift = 0;
  Addend<T> add{};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(g, false), f(add.t, false), f(y, true);
  }
  template <class U, class F>
  Gate<U> map(F&& f) const {
    return {f(x), f(g), f(y), sigmoid, mix, shift, {f(add.t), add.scale, add.group}};
  }
  RowUse rows() const { return {}; }
};

// y = x * s * scale + add.scale * add.t + add2.scale * add2.t
//   s [c] = sigmoid(w2 act(w1 mean(pool) + b1) + b2): squeeze and excitation (Hu et al. 2018), "channel
//   attention" in RCAN, HAT, DAT. mean: over all pixels of `pool`, of x where pool is absent.
//   w1 f32 [r, c], w2 f32 [c, r]; add.group is 1
template <class T>
struct ChannelAttention {
  static constexpr const char* kName = "channel_attention";
  T x{}, pool{}, y{};
  Weight w1{}, w2{};
  Act act = Act::relu;
  float scale = 1;
  Addend<T> add{}, add2{};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(pool, false), f(add.t, false), f(add2.t, false), f(y, true);
  }
  template <class U, class F>
  ChannelAttention<U> map(F&& f) const {
    return {f(x),
            f(pool),
            f(y),
            w1,
            w2,
            act,
            scale,
            {f(add.t), add.scale, add.group},
            {f(add2.t), add2.scale, add2.group}};
  }
  template <class F>
  void weights(F&& f) {
    f(w1), f(w2);
  }
  RowUse rows() const { return {.whole = true, .statistics = true}; }
};

// y = act(depthwise(x, w) + bias) * gate
//   w f32 [c, k * k]: one k x k filter per channel, zero padding k/2, k in {1, 3, 5}; gate absent: 1
template <class T>
struct DepthwiseConv2d {
  static constexpr const char* kName = "depthwise_conv2d";
  T x{}, gate{}, y{};
  Weight w{};
  int k = 3;
  Act act = Act::none;
  float slope = 0;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(gate, false), f(y, true);
  }
  template <class U, class F>
  DepthwiseConv2d<U> map(F&& f) const {
    return {f(x), f(gate), f(y), w, k, act, slope};
  }
  template <class F>
  void weights(F&& f) {
    f(w);
  }
  RowUse rows() const { return {k}; }
  double flop() const { return 2.0 * w.cout * k * k; }
};

// Attention between channels, over all pixels p (El-Nouby et al. 2021, "XCA"), for head n and channel i:
//   y[p, n, i] = sum over j of softmax_j(t[n] * q[n, i] . k[n, j]) * v[p, n, j]
//   x [h, w, 3 * heads * d] = q | k | v; head n has channels n * d .. + d of each
//   q[n, i] and k[n, j] are vectors over the pixels, divided by their lengths (at least 1e-12)
//   t f32 [heads, 1]
template <class T>
struct CrossCovarianceAttention {
  static constexpr const char* kName = "cross_covariance_attention";
  T x{}, y{};
  Weight t{};
  int heads = 1, d = 1;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  CrossCovarianceAttention<U> map(F&& f) const {
    return {f(x), f(y), t, heads, d};
  }
  template <class F>
  void weights(F&& f) {
    f(t);
  }
  RowUse rows() const { return {.whole = true, .statistics = true}; }
  double flop() const { return 4.0 * heads * d * d; }
};

}  // namespace ups
