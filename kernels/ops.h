// The vocabulary: every operator of the runtime as a plain struct, with its mathematics and shapes.
//
// An operator is a template over its operand: Conv2d<Value> in a graph, Conv2d<Tensor> at a kernel. The
// graph, the planner, each backend, the tests and the benchmarks share these structs and nothing else.
// Besides its fields an operator says what the planner and the backends ask of all alike:
//   kName        for messages
//   operands(f)  calls f(operand, is_written) for every operand that is present or may be; x first, y last
//   map<U>(f)    the same operator over operands f(x), f(y), ...
//   weights(f)   calls f(weight) for each of its weights, if it has any
//   rows()       which rows of x an output row needs; other operands are read at the output's own rows
//   flop()       per output pixel before the shuffle, if it counts
// No std header here: per-ISA files include it.
//
// Notation: y [h, w, c] is output, x [h, w, c] input. All images are NHWC; sums run in at least fp32.
#pragma once

#include "kernels/tensor.h"

namespace ups {

enum class Act : uint8_t {
  none,
  relu,
  lrelu,  // x > 0 ? x : slope * x
  prelu,  // as lrelu with one slope per output channel (Weight::slope); slopes may be negative or > 1
  gelu,   // exact: x * Phi(x), by erf
  silu    // x * sigmoid(x)
};

// Learned parameters of one convolution or linear layer, as a backend packed them. The CPU layout is
// w [k, k, cin, cout] (cout fastest), f32 or f16 as the file stores it; bias and slope are f32 [cout].
struct Weight {
  int id = -1;  // index in Graph::weights; -1: no weight
  int cout = 0, k = 0, cin = 0;
  DType dtype = DType::f32;
  const void* w = nullptr;
  const float* bias = nullptr;   // null: no bias
  const float* slope = nullptr;  // PReLU slopes, null unless Act::prelu
};

// scale * t. A default-constructed T means absent. Each addend channel serves `group` consecutive output
// channels (before the shuffle): group = r*r adds a nearest-upsampled image through a pixel shuffle.
template <class T>
struct Addend {
  T t{};
  float scale = 1;
  int group = 1;
};

// Output row g (before a pixel shuffle by `shuffle`) reads rows (g * stride - k / 2 .. + k - 1) / up of x.
struct RowUse {
  int k = 1, stride = 1, up = 1, shuffle = 1;
  bool whole = false;  // every output row needs the whole image: statistics over all pixels
};

// y = shuffle(act(conv(up(x), w) + bias) * scale + add.scale * add.t + add2.scale * add2.t)
//   x [h, w, cin]  ->  y [h*up/stride*r, w*up/stride*r, cout/(r*r)],  r = shuffle
//   conv: k in {1, 3, 5}, zero padding k/2, cross-correlation as in PyTorch. up: nearest repetition.
//   shuffle: y[.., y*r+i, x*r+j, c] = in[.., y, x, c*r*r + i*r + j]   (PixelShuffle, Shi et al. 2016)
//   addends have extent [h*up/stride, w*up/stride]: they are added before the shuffle.
template <class T>
struct Conv2d {
  static constexpr const char* kName = "conv2d";
  T x{}, y{};
  Weight w{};
  Act act = Act::none;
  float slope = 0, scale = 1;
  Addend<T> add{}, add2{};
  int stride = 1, up = 1, shuffle = 1;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(add.t, false), f(add2.t, false), f(y, true);
  }
  template <class U, class F>
  Conv2d<U> map(F&& f) const {
    return {f(x),
            f(y),
            w,
            act,
            slope,
            scale,
            {f(add.t), add.scale, add.group},
            {f(add2.t), add2.scale, add2.group},
            stride,
            up,
            shuffle};
  }
  template <class F>
  void weights(F&& f) {
    f(w);
  }
  RowUse rows() const { return {w.k, stride, up, shuffle}; }
  double flop() const { return 2.0 * w.cout * w.k * w.k * w.cin; }
};

// y[y, x, c*r*r + i*r + j] = x[y*r+i, x*r+j, c]     (PixelUnshuffle)
template <class T>
struct PixelUnshuffle {
  static constexpr const char* kName = "pixel_unshuffle";
  T x{}, y{};
  int r = 2;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  PixelUnshuffle<U> map(F&& f) const {
    return {f(x), f(y), r};
  }
  // Rows g * r .. g * r + r - 1, as a window centred on its first.
  RowUse rows() const { return {2 * r - 1, r}; }
};

// y = x
template <class T>
struct Copy {
  static constexpr const char* kName = "copy";
  T x{}, y{};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  Copy<U> map(F&& f) const {
    return {f(x), f(y)};
  }
  RowUse rows() const { return {}; }
};

// y[y, x, c] = x[y / up, x / up, c]     (nearest)
//   x [h, w, c] -> y [h*up, w*up, c]
template <class T>
struct Upsample {
  static constexpr const char* kName = "upsample";
  T x{}, y{};
  int up = 2;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  Upsample<U> map(F&& f) const {
    return {f(x), f(y), up};
  }
  RowUse rows() const { return {1, 1, up}; }
};

}  // namespace ups
