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
  bool tf32 = false;             // an f32 convolution may round its factors to tf32 (10 bits of fraction)
  int tile = 0;                  // CPU: w is packed in tiles of so many outputs (pack_linear_weight)
  bool f16_sums = false;         // an f16 convolution may sum up to 64 products in f16, then on in f32
};

// scale * t. A default-constructed T means absent. Each addend channel serves `group` consecutive output
// channels (before the shuffle): group = r*r adds a nearest-upsampled image through a pixel shuffle.
template <class T>
struct Addend {
  T t{};
  float scale = 1;
  int group = 1;
};

// w * t, added to the sums of a convolution: w is 1x1. How a residual block whose channels change ends.
template <class T>
struct Shortcut {
  T t{};
  Weight w{};
  constexpr bool present() const { return w.cout > 0; }
};

// Output row g (before a pixel shuffle by `shuffle`) reads rows (g * stride - before() .. + k - 1) / up of x.
struct RowUse {
  int k = 1, stride = 1, up = 1, shuffle = 1;
  bool whole = false;       // every output row needs the whole image
  bool statistics = false;  // idem, for means over all pixels: a part of the image gives other results
  int lead = -1;            // rows read before g * stride; -1: k / 2
  bool of_x = false;        // rows are those of x: y is a sum over them
  int before() const { return lead < 0 ? k / 2 : lead; }
};

// y = shuffle(act(conv(up(x), w) + bias) * scale + add.scale * add.t + add2.scale * add2.t)
//   x [h, w, cin]  ->  y [h*up/stride*r, w*up/stride*r, cout/(r*r)],  r = shuffle
//   conv: k in {1, 3, 5}, zero padding k/2, cross-correlation as in PyTorch. up: nearest repetition.
//   shuffle: y[.., y*r+i, x*r+j, c] = in[.., y, x, c*r*r + i*r + j]   (PixelShuffle, Shi et al. 2016)
//   addends have extent [h*up/stride, w*up/stride]: they are added before the shuffle.
//   act_last: y = shuffle(act((conv + bias) * scale + addends)) instead, the end of a classical residual
//   block. pad_end: all k - 1 zeros lie below and to the right, tap (i, j) reads x[y*stride + i, x*stride +
//   j].
//   shortcut: conv + bias + shortcut.w * shortcut.t + its bias takes the place of conv + bias; its extent is
//   that of an addend. Backends that do not sum both in one kernel get the parts (runtime/expand.h).
template <class T>
struct Conv2d {
  static constexpr const char* kName = "conv2d";
  T x{}, y{};
  Weight w{};
  Act act = Act::none;
  float slope = 0, scale = 1;
  Addend<T> add{}, add2{};
  int stride = 1, up = 1, shuffle = 1;
  bool act_last = false, pad_end = false;
  Shortcut<T> shortcut{};
  // Rows and columns of zeros before the first pixel. constexpr: kernels call it.
  constexpr int pad() const { return pad_end ? 0 : w.k / 2; }
  template <class F>
  void operands(F&& f) {
    f(x, false), f(add.t, false), f(add2.t, false), f(shortcut.t, false), f(y, true);
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
            shuffle,
            act_last,
            pad_end,
            {f(shortcut.t), shortcut.w}};
  }
  template <class F>
  void weights(F&& f) {
    f(w), f(shortcut.w);
  }
  RowUse rows() const { return {.k = w.k, .stride = stride, .up = up, .shuffle = shuffle, .lead = pad()}; }
  double flop() const { return 2.0 * w.cout * (w.k * w.k * w.cin + shortcut.w.cin); }
  // The same without a shortcut in two: emit(part) for each in order; room(c) names a new image of c
  // channels, as large as y. For act none, shuffle 1 and an addend or two absent.
  template <class Room, class Emit>
  void parts(Room&& room, Emit&& emit) const {
    Conv2d beside;
    beside.x = shortcut.t, beside.y = room(w.cout), beside.w = shortcut.w;
    Conv2d rest = *this;
    rest.shortcut = {};
    // The part's bias is scaled with it, as in the sum.
    (add.t ? rest.add2 : rest.add) = {beside.y, scale, 1};
    emit(beside), emit(rest);
  }
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
// cubic: Keys' kernel with a = -0.75 about ((y + 1/2) / up - 1/2, ..), the border pixel repeated beyond it
//   (PyTorch's bicubic, align_corners = False).
template <class T>
struct Upsample {
  static constexpr const char* kName = "upsample";
  T x{}, y{};
  int up = 2;
  bool cubic = false;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  Upsample<U> map(F&& f) const {
    return {f(x), f(y), up, cubic};
  }
  RowUse rows() const { return {cubic ? 4 * up + 1 : 1, 1, up}; }
};

// y[p, c] = (x[p, c] - mean(p)) / sqrt(variance(p) + eps) * gamma[c] + beta[c] (+ add[p, c])
//   mean and (biased) variance over the channels of pixel p. w.w is gamma, w.bias is beta, both f32 [c].
template <class T>
struct LayerNorm {
  static constexpr const char* kName = "layer_norm";
  T x{}, add{}, y{};
  Weight w{};
  float eps = 1e-5f;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(add, false), f(y, true);
  }
  template <class U, class F>
  LayerNorm<U> map(F&& f) const {
    return {f(x), f(add), f(y), w, eps};
  }
  template <class F>
  void weights(F&& f) {
    f(w);
  }
  RowUse rows() const { return {}; }
};

// Multi-head attention within windows (Liu et al. 2021), for head n and a query pixel i of a window:
//   y[i, n] = sum over keys j of softmax_j(q[i, n] . k[j, n] * s + bias[n, j - i] + mask(i, j)) * v[j, n]
//   x [h, w, 3 * width] = q | k | v; head n has channels first + n * d .. + d of each
//   y [h, w, heads * d]; window.h divides h, window.w divides w
//   window (a, b) holds the pixels ((a * window.h + shift.h + i) mod h, (b * window.w + shift.w + j) mod w).
//   pad > 1: h and w are rounded up to multiples of pad, where q = k = v = 0: such a key takes part (DAT).
//   keys == window: the keys are the pixels of the window. After a shift some of them come from the other
//     end of the image: mask is -100 between two pixels on different sides of such a seam, else 0.
//   keys > window, shift 0: a patch of that size around the window. Outside the image k = v = 0: such a key
//     still takes part in the softmax with logit bias (Chen et al. 2023, overlapping cross-attention).
//   s is `scale`, or with cosine (Liu et al. 2022) q and k are divided by their lengths and s = bias.bias[n].
//   bias.w: f32 [heads][window.h + keys.h - 1][window.w + keys.w - 1], the place of key (ky, kx) relative to
//   query (qy, qx) within their windows being (ky - qy + window.h - 1, kx - qx + window.w - 1).
template <class T>
struct WindowAttention {
  static constexpr const char* kName = "window_attention";
  T x{}, y{};
  Weight bias{};
  Extent window{8, 8}, keys{8, 8}, shift{};
  int heads = 1, d = 1, first = 0;
  float scale = 1;
  bool cosine = false;
  int pad = 1;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  WindowAttention<U> map(F&& f) const {
    return {f(x), f(y), bias, window, keys, shift, heads, d, first, scale, cosine, pad};
  }
  template <class F>
  void weights(F&& f) {
    f(bias);
  }
  constexpr Extent grid() const { return {(x.h + pad - 1) / pad * pad, (x.w + pad - 1) / pad * pad}; }
  RowUse rows() const { return {.whole = true}; }  // windows wrap around the image
  double flop() const { return 4.0 * keys.h * keys.w * heads * d; }
};

// y[g] = (sum of x, sum of x^2) over all pixels and the c / groups channels of group g, in double.
//   x [h, w, c] -> y [1, 1, 4 * groups] f32 elements that hold 2 * groups doubles, whatever the dtype of x.
// Rows accumulate from top to bottom. On CPUs any division into strips of a multiple of 4 rows gives the same
// bits; on GPUs only the same division does. A call whose rows include row 0 starts from zero. One image.
template <class T>
struct GroupStats {
  static constexpr const char* kName = "group_stats";
  T x{}, y{};
  int groups = 32;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(y, true);
  }
  template <class U, class F>
  GroupStats<U> map(F&& f) const {
    return {f(x), f(y), groups};
  }
  RowUse rows() const { return {.of_x = true}; }
};

// y = act((x - mean[g]) / sqrt(var[g] + eps) * gamma[c] + beta[c])     (GroupNorm, Wu and He 2018)
//   mean and the biased variance of group g come from GroupStats of x; gamma is w.w, f32 [c], beta w.bias.
template <class T>
struct GroupNorm {
  static constexpr const char* kName = "group_norm";
  T x{}, stats{}, y{};
  Weight w{};
  int groups = 32;
  float eps = 1e-6f;
  Act act = Act::none;  // none, relu or silu
  template <class F>
  void operands(F&& f) {
    f(x, false), f(stats, false), f(y, true);
  }
  // Operands that must be complete before the first row.
  template <class F>
  void complete(F&& f) {
    f(stats);
  }
  template <class U, class F>
  GroupNorm<U> map(F&& f) const {
    return {f(x), f(stats), f(y), w, groups, eps, act};
  }
  template <class F>
  void weights(F&& f) {
    f(w);
  }
  RowUse rows() const { return {}; }
};

// y[i] = sum over j of softmax_j(scale * x[i] . k[j]) v[j]: one head over the h * w pixels of an image.
//   x (the queries), k [h, w, d], v, y [h, w, dv]. The h * w x h * w scores are never stored.
template <class T>
struct Attention {
  static constexpr const char* kName = "attention";
  T x{}, k{}, v{}, y{};
  float scale = 1;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(k, false), f(v, false), f(y, true);
  }
  template <class F>
  void complete(F&& f) {
    f(k), f(v);
  }
  template <class U, class F>
  Attention<U> map(F&& f) const {
    return {f(x), f(k), f(v), f(y), scale};
  }
  RowUse rows() const { return {}; }
  double flop() const {
    if constexpr (requires(T t) { t.w; })
      return 2.0 * (x.c + v.c) * k.h * k.w;
    else
      return 0;  // grows with the image
  }
};

}  // namespace ups
