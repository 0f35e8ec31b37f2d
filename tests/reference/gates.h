// The operators of kernels/gate_ops.h as their definitions read, in double and naive loops, each with a bound
// on the error of float arithmetic. f32 operands, image 0.
#pragma once

#include <limits>

#include "kernels/gate_ops.h"
#include "tests/reference/conv2d.h"

namespace ups::reference {

constexpr double kEps = std::numeric_limits<float>::epsilon();

struct Expected {
  std::vector<double> y, tolerance;  // [h, w, c]
  void add(double value, double error) { y.push_back(value), tolerance.push_back(error); }
};

// f(y, x, c) for every element of t, in order.
template <class F>
void each_element(const Tensor& t, F&& f) {
  for (int y = 0; y < t.h; y++)
    for (int x = 0; x < t.w; x++)
      for (int c = 0; c < t.c; c++) f(y, x, c);
}

inline double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

inline Expected affine(const Affine<Tensor>& op) {
  Expected e;
  each_element(op.y, [&](int y, int x, int c) {
    const double product = double(op.x.at(y, x)[c]) * op.scale[c];
    e.add(product + op.shift[c], 2 * kEps * (std::abs(product) + std::abs(op.shift[c])));
  });
  return e;
}

inline Expected gate(const Gate<Tensor>& op) {
  Expected e;
  each_element(op.y, [&](int y, int x, int c) {
    const double g = op.g.at(y, x)[op.g.c == 1 ? 0 : c], f = op.sigmoid ? sigmoid(g) : g;
    const double v = op.x.at(y, x)[c], add = op.add.t.data ? double(op.add.scale) * op.add.t.at(y, x)[c] : 0;
    // Both factors and their product: a handful of roundings each; the exponential is good to 4 units, more
    // where its argument was rounded.
    const double size = (std::abs(v) + std::abs(op.mix * g)) * (std::abs(f) + std::abs(op.shift) + 1);
    e.add((v + op.mix * g) * (f + op.shift) + add, kEps * ((12 + std::abs(g)) * size + 2 * std::abs(add)));
  });
  return e;
}

// weights: [c, k * k]
inline Expected depthwise_conv2d(const DepthwiseConv2d<Tensor>& op, const std::vector<float>& weights) {
  Expected e;
  const int k = op.k;
  each_element(op.y, [&](int y, int x, int c) {
    double sum = op.w.bias ? op.w.bias[c] : 0, size = std::abs(sum);
    for (int tap = 0; tap < k * k; tap++) {
      const int uy = y + tap / k - k / 2, ux = x + tap % k - k / 2;
      if (uy < 0 || ux < 0 || uy >= op.x.h || ux >= op.x.w) continue;
      const double term = double(op.x.at(uy, ux)[c]) * weights[size_t(c) * k * k + tap];
      sum += term, size += std::abs(term);
    }
    const double factor = op.gate.data ? op.gate.at(y, x)[c] : 1;
    // k * k additions; no activation is steeper than 1.2.
    e.add(activate(op.act, sum, op.slope) * factor, kEps * ((k * k + 8) * 1.2 * size + 4) * std::abs(factor));
  });
  return e;
}

// w1 [r, c], w2 [c, r]. additions: the longest chain of float additions of a mean; everything after the mean
// may be float, too.
inline Expected channel_attention(const ChannelAttention<Tensor>& op, const std::vector<float>& w1,
                                  const std::vector<float>& w2, double additions) {
  Expected e;
  const Tensor& pool = op.pool.data ? op.pool : op.x;
  const int channels = op.y.c, r = op.w1.cout;
  std::vector<double> mean(channels), size(channels), hidden(r), hidden_error(r);
  each_element(pool, [&](int y, int x, int c) {
    mean[c] += pool.at(y, x)[c] / double(pool.extent().pixels());
    size[c] += std::abs(pool.at(y, x)[c]) / double(pool.extent().pixels());
  });
  for (int j = 0; j < r; j++) {
    double sum = op.w1.bias ? op.w1.bias[j] : 0, error = kEps * std::abs(sum);
    for (int c = 0; c < channels; c++) {
      sum += mean[c] * w1[size_t(j) * channels + c];
      error += kEps * (additions + channels + 4) * size[c] * std::abs(w1[size_t(j) * channels + c]);
    }
    hidden[j] = activate(op.act, sum, 0), hidden_error[j] = 1.2 * error;
  }
  std::vector<double> s(channels), s_error(channels);
  for (int c = 0; c < channels; c++) {
    double sum = op.w2.bias ? op.w2.bias[c] : 0, error = kEps * std::abs(sum);
    for (int j = 0; j < r; j++) {
      const double w = w2[size_t(c) * r + j];
      sum += hidden[j] * w;
      error += std::abs(w) * (hidden_error[j] + kEps * (r + 4) * std::abs(hidden[j]));
    }
    s[c] = sigmoid(sum), s_error[c] = error / 4 + 8 * kEps;  // the sigmoid's slope is at most 1/4
  }
  each_element(op.y, [&](int y, int x, int c) {
    const double v = double(op.scale) * op.x.at(y, x)[c];
    double sum = v * s[c], error = std::abs(v) * (s_error[c] + 4 * kEps);
    for (const Addend<Tensor>& a : {op.add, op.add2})
      if (a.t.data) {
        const double term = double(a.scale) * a.t.at(y, x)[c];
        sum += term, error += 3 * kEps * std::abs(term);
      }
    e.add(sum, error + kEps * std::abs(sum));
  });
  return e;
}

// The bound: sums of n pixels in float have an error of `additions` units of the sum of magnitudes, which is
// at most 1 after normalisation; logits with that error times t are relative errors of the weights.
inline Expected cross_covariance_attention(const CrossCovarianceAttention<Tensor>& op, double additions) {
  Expected e;
  const int d = op.d, width = op.y.c;
  std::vector<double> a(size_t(op.heads) * d * d);
  const auto dot = [&](int c1, int c2) {
    double sum = 0;
    for (int y = 0; y < op.x.h; y++)
      for (int x = 0; x < op.x.w; x++) sum += double(op.x.at(y, x)[c1]) * op.x.at(y, x)[c2];
    return sum;
  };
  for (int n = 0; n < op.heads; n++)
    for (int i = 0; i < d; i++) {
      const int q = n * d + i;
      double sum = 0;
      for (int j = 0; j < d; j++) {
        const int k = width + n * d + j;
        const double cosine =
            dot(q, k) / std::max(std::sqrt(dot(q, q)), 1e-12) / std::max(std::sqrt(dot(k, k)), 1e-12);
        sum += a[(size_t(n) * d + i) * d + j] = std::exp(static_cast<const float*>(op.t.w)[n] * cosine);
      }
      for (int j = 0; j < d; j++) a[(size_t(n) * d + i) * d + j] /= sum;
    }
  each_element(op.y, [&](int y, int x, int c) {
    const int n = c / d;
    double sum = 0, size = 0;
    for (int j = 0; j < d; j++) {
      const double term = a[size_t(c) * d + j] * op.x.at(y, x)[2 * width + n * d + j];
      sum += term, size += std::abs(term);
    }
    const double t = std::abs(static_cast<const float*>(op.t.w)[n]);
    e.add(sum, kEps * size * (4 * t * (additions + 8) + 2 * d + 16));
  });
  return e;
}

}  // namespace ups::reference
