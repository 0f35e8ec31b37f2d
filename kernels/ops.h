// The vocabulary: every operator of the runtime as a plain struct, with its mathematics and shapes.
//
// An operator is a template over its operand: Conv2d<Value> in a graph, Conv2d<Tensor> at a kernel. The
// graph, the planner, each backend, the tests and the benchmarks share these structs and nothing else.
// operands(f) calls f(operand, is_written) for every operand that is present or may be; the planner needs
// no more. No std header here: per-ISA files include it.
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

// y = shuffle(act(conv(up(x), w) + bias) * scale + add.scale * add.t + add2.scale * add2.t)
//   x [h, w, cin]  ->  y [h*up/stride*r, w*up/stride*r, cout/(r*r)],  r = shuffle
//   conv: k in {1, 3, 5}, zero padding k/2, cross-correlation as in PyTorch. up: nearest repetition.
//   shuffle: y[.., y*r+i, x*r+j, c] = in[.., y, x, c*r*r + i*r + j]   (PixelShuffle, Shi et al. 2016)
//   addends have extent [h*up/stride, w*up/stride]: they are added before the shuffle.
template <class T>
struct Conv2d {
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
};

// y[y, x, c*r*r + i*r + j] = x[y*r+i, x*r+j, c]     (PixelUnshuffle)
template <class T>
struct PixelUnshuffle {
  T x{}, y{};
  int r = 2;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
};

// y = x
template <class T>
struct Copy {
  T x{}, y{};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
};

// y[y, x, c] = x[y / up, x / up, c]     (nearest)
//   x [h, w, c] -> y [h*up, w*up, c]
template <class T>
struct Upsample {
  T x{}, y{};
  int up = 2;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
};

}  // namespace ups
