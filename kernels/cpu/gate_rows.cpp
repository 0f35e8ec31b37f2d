// Rows of the memory-bound operators: lanes run over channels, pixels follow one another.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gate_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/gate_rows.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

// n <= kLanes floats; the other lanes are zero.
HWY_INLINE V load_part(D d, const float* from, int n) {
  if (n == kLanes) return hn::LoadU(d, from);
  if (kMasked) return hn::MaskedLoad(hn::FirstN(d, size_t(n)), d, from);
  HWY_ALIGN float lanes[kLanes] = {};
  for (int i = 0; i < n; i++) lanes[i] = from[i];
  return hn::Load(d, lanes);
}
HWY_INLINE void store_part(D d, V v, float* to, int n) {
  if (n == kLanes) return hn::StoreU(v, d, to);
  if (kMasked) return hn::BlendedStore(v, hn::FirstN(d, size_t(n)), d, to);
  HWY_ALIGN float lanes[kLanes] = {};
  hn::Store(v, d, lanes);
  for (int i = 0; i < n; i++) to[i] = lanes[i];
}

HWY_INLINE V sigmoid(D d, V v) {
  const V one = hn::Set(d, 1);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(v), hn::Set(d, 88)))));
}

// Calls fn(first channel, channels) for each vector of channels.
template <class Fn>
HWY_INLINE void each_vector(int c, Fn&& fn) {
  int first = 0;
  for (; first + kLanes <= c; first += kLanes) fn(first, kLanes);
  if (first < c) fn(first, c - first);
}

void sum(PixelRow x, int w, int c, double* out) {
  const D d;
  each_vector(c, [&](int first, int n) HWY_ATTR {
    for (int begin = 0; begin < w; begin += 64) {
      const int end = begin + 64 < w ? begin + 64 : w;
      const float* at = x.data + begin * x.px + first;
      V even = hn::Zero(d), odd = hn::Zero(d);
      int i = begin;
      for (; i + 2 <= end; i += 2, at += 2 * x.px) {
        even = hn::Add(even, load_part(d, at, n));
        odd = hn::Add(odd, load_part(d, at + x.px, n));
      }
      if (i < end) even = hn::Add(even, load_part(d, at, n));
      HWY_ALIGN float lanes[kLanes] = {};
      hn::Store(hn::Add(even, odd), d, lanes);
      for (int l = 0; l < n; l++) out[first + l] += double(lanes[l]);
    }
  });
}

void scale(PixelRow x, const float* s, PixelRow add, PixelRow add2, int w, int c, float* y, int64_t px) {
  const D d;
  const V k1 = hn::Set(d, add.scale), k2 = hn::Set(d, add2.scale);
  for (int i = 0; i < w; i++, y += px, x.data += x.px) {
    each_vector(c, [&](int first, int n) HWY_ATTR {
      V v = hn::Mul(load_part(d, x.data + first, n), load_part(d, s + first, n));
      if (add.data) v = hn::MulAdd(load_part(d, add.data + first, n), k1, v);
      if (add2.data) v = hn::MulAdd(load_part(d, add2.data + first, n), k2, v);
      store_part(d, v, y + first, n);
    });
    if (add.data) add.data += add.px;
    if (add2.data) add2.data += add2.px;
  }
}

void gate(const GateRow& row, int w, int c, float* y, int64_t px) {
  const D d;
  const V mix = hn::Set(d, row.mix), shift = hn::Set(d, row.shift), k = hn::Set(d, row.add.scale);
  for (int i = 0; i < w; i++, y += px) {
    const float *x = row.x.data + i * row.x.px, *g = row.g.data + i * row.g.px;
    const float* add = row.add.data ? row.add.data + i * row.add.px : nullptr;
    V one = hn::Set(d, g[0]);
    const V one_x = hn::Mul(mix, one);
    if (row.sigmoid && row.one_gate) one = sigmoid(d, one);
    each_vector(c, [&](int first, int n) HWY_ATTR {
      V v = load_part(d, x + first, n), f = one;
      if (row.one_gate) {
        v = hn::Add(v, one_x);
      } else {
        f = load_part(d, g + first, n);
        v = hn::MulAdd(mix, f, v);
        if (row.sigmoid) f = sigmoid(d, f);
      }
      v = hn::Mul(v, hn::Add(f, shift));
      if (add) v = hn::MulAdd(load_part(d, add + first, n), k, v);
      store_part(d, v, y + first, n);
    });
  }
}

// Pixels [begin, end) of one vector of channels.
template <Act A>
HWY_INLINE void depthwise_some(const DepthwiseRow& row, int begin, int end, int w, int c, int first, int n,
                               float* y, int64_t px) {
  const D d;
  const V slope = hn::Set(d, row.slope);
  const int k = row.k;
  for (int i = begin; i < end; i++) {
    const int left = k / 2 - i > 0 ? k / 2 - i : 0, right = i + k - k / 2 > w ? w - i + k / 2 : k;
    V acc = load_part(d, row.bias + first, n);
    for (int ky = 0; ky < k; ky++) {
      if (!row.x[ky]) continue;
      const float* x = row.x[ky] + (i + left - k / 2) * row.x_px + first;
      const float* weight = row.weight + (ky * k + left) * int64_t(c) + first;
      for (int kx = left; kx < right; kx++, x += row.x_px, weight += c)
        acc = hn::MulAdd(load_part(d, x, n), load_part(d, weight, n), acc);
    }
    acc = activate<A>(d, acc, slope);
    if (row.gate.data) acc = hn::Mul(acc, load_part(d, row.gate.data + i * row.gate.px + first, n));
    store_part(d, acc, y + i * px + first, n);
  }
}

// The same for 3x3, four pixels at a time with the weights in registers. Returns where it stopped.
template <Act A>
HWY_INLINE int depthwise_fours(const DepthwiseRow& row, int w, int c, int first, float* y, int64_t px) {
  const D d;
  const V slope = hn::Set(d, row.slope), bias = hn::LoadU(d, row.bias + first);
  V weight[9];
  for (int tap = 0; tap < 9; tap++) weight[tap] = hn::LoadU(d, row.weight + tap * int64_t(c) + first);
  int i = 1;
  for (; i + 5 <= w; i += 4) {
    V acc[4] = {bias, bias, bias, bias};
    for (int ky = 0; ky < 3; ky++) {
      if (!row.x[ky]) continue;
      const float* x = row.x[ky] + (i - 1) * row.x_px + first;
      V in[6];
      for (int q = 0; q < 6; q++) in[q] = hn::LoadU(d, x + q * row.x_px);
      for (int kx = 0; kx < 3; kx++)
        for (int p = 0; p < 4; p++) acc[p] = hn::MulAdd(in[p + kx], weight[ky * 3 + kx], acc[p]);
    }
    for (int p = 0; p < 4; p++) {
      acc[p] = activate<A>(d, acc[p], slope);
      if (row.gate.data)
        acc[p] = hn::Mul(acc[p], hn::LoadU(d, row.gate.data + (i + p) * row.gate.px + first));
      hn::StoreU(acc[p], d, y + (i + p) * px + first);
    }
  }
  return i;
}

template <Act A>
HWY_INLINE void depthwise_act(const DepthwiseRow& row, int w, int c, float* y, int64_t px) {
  each_vector(c, [&](int first, int n) HWY_ATTR {
    int done = 0;
    if (row.k == 3 && n == kLanes && w >= 6) {
      depthwise_some<A>(row, 0, 1, w, c, first, n, y, px);
      done = depthwise_fours<A>(row, w, c, first, y, px);
    }
    depthwise_some<A>(row, done, w, w, c, first, n, y, px);
  });
}

void depthwise(const DepthwiseRow& row, int w, int c, float* y, int64_t px) {
  switch (row.act) {
    case Act::relu:
      return depthwise_act<Act::relu>(row, w, c, y, px);
    case Act::lrelu:
      return depthwise_act<Act::lrelu>(row, w, c, y, px);
    case Act::gelu:
      return depthwise_act<Act::gelu>(row, w, c, y, px);
    case Act::silu:
      return depthwise_act<Act::silu>(row, w, c, y, px);
    default:
      return depthwise_act<Act::none>(row, w, c, y, px);
  }
}

const GateRows* gate_table() {
  static constexpr GateRows table = {sum, scale, gate, depthwise};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/cpu/isa_ready.h"

namespace ups::cpu {

HWY_EXPORT(gate_table);
const GateRows& gate_rows() {
  isa_ready();
  return *HWY_DYNAMIC_DISPATCH(gate_table)();
}

}  // namespace ups::cpu
#endif
