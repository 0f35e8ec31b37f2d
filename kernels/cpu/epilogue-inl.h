// The per-ISA epilogue of a convolution: bias, activation, scale, addends, pixel shuffle, store.
// Included once per target, between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE's file scope.
#if defined(UPS_EPILOGUE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_EPILOGUE_INL
#undef UPS_EPILOGUE_INL
#else
#define UPS_EPILOGUE_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/cpu/conv2d_args.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int kLanes = HWY_MAX_BYTES / 4;
// Masked loads and stores that never touch what lies beyond: elsewhere Highway reads it and writes it back,
// which may be another thread's.
constexpr bool kMasked = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2;

// 0.5 * erfc(a / sqrt(2)) * a for a = min(ax, 5.3), beyond which it is below 1e-6: a polynomial in
// 2 a / 5.3 - 1 fitted at Chebyshev nodes, absolute error below 1.2e-7 * a.
HWY_INLINE V gelu_tail(D d, V ax) {
  static constexpr float kTail[] = {
      4.024595954e-03f,  -3.156793118e-02f, 1.108404249e-01f,  -2.224901319e-01f,
      2.609308362e-01f,  -1.324077100e-01f, -8.974936604e-02f, 2.025883049e-01f,
      -1.087384596e-01f, -5.964535847e-02f, 1.064483374e-01f,  -2.202690206e-02f,
      -3.985362127e-02f, 1.989468746e-02f,  6.097300444e-03f,  -4.344944842e-03f};
  const V a = hn::Min(ax, hn::Set(d, 5.3f));
  const V u = hn::MulAdd(a, hn::Set(d, 2 / 5.3f), hn::Set(d, -1));
  V p = hn::Set(d, kTail[15]);
#pragma GCC unroll 16
  for (int i = 14; i >= 0; i--) p = hn::MulAdd(p, u, hn::Set(d, kTail[i]));
  return hn::Mul(p, a);
}

// Comparisons are arranged so that NaN stays NaN, as in PyTorch.
template <Act A>
HWY_INLINE V activate(D d, V v, V slope) {
  const V zero = hn::Zero(d);
  if constexpr (A == Act::relu) return hn::IfThenElse(hn::Lt(v, zero), zero, v);
  if constexpr (A == Act::lrelu || A == Act::prelu)
    return hn::IfThenElse(hn::Gt(v, zero), v, hn::Mul(v, slope));
  if constexpr (A == Act::gelu) {
    // NaN stays NaN, and -infinity becomes it.
    return hn::Sub(hn::IfThenElse(hn::Gt(v, zero), v, hn::Sub(v, v)), gelu_tail(d, hn::Abs(v)));
  }
  if constexpr (A == Act::silu) {
    const V e = hn::Exp(d, hn::Min(hn::Neg(v), hn::Set(d, 88)));
    return hn::Div(v, hn::Add(hn::Set(d, 1), e));
  }
  return v;
}

// Finishes n consecutive pixels (y, x..) and channels co..co+count of sums: acc[p * acc_stride + c].
// acc must be readable up to the next whole vector.
template <Act A>
HWY_INLINE void emit_act(const Epilogue& e, const float* HWY_RESTRICT acc, int acc_stride, int y, int x,
                         int n, int co, int count) {
  const D d;
  const bool scaled = e.scale != 1;
  const V scale = hn::Set(d, e.scale);
  // The common case, with nothing to decide per pixel: no shuffle, addends of as many channels as y.
  bool plain = e.shuffle == 1 && !e.act_last;
  for (int a = 0; a < e.adds; a++) plain = plain && e.add[a].group == 1;
  if (plain && (kMasked || count % kLanes == 0)) {
    for (int c = 0; c < count; c += kLanes) {
      const V bias = hn::LoadU(d, e.bias + co + c);
      const V slope = A == Act::prelu ? hn::LoadU(d, e.slopes + co + c) : hn::Set(d, e.slope);
      const bool all = count - c >= kLanes;
      const auto mask = hn::FirstN(d, size_t(count - c));
      const auto finish = [&](int p) {
        V v = activate<A>(d, hn::Add(hn::LoadU(d, acc + p * acc_stride + c), bias), slope);
        return scaled ? hn::Mul(v, scale) : v;
      };
      const auto load = [&](const float* t) { return all ? hn::LoadU(d, t) : hn::MaskedLoad(mask, d, t); };
      float* out = e.y + y * e.y_row + x * e.y_px + co + c;
      const Epilogue::Add &first = e.add[0], &second = e.add[1];
      const float* t0 = e.adds > 0 ? first.data + y * first.row + x * first.px + co + c : nullptr;
      const float* t1 = e.adds > 1 ? second.data + y * second.row + x * second.px + co + c : nullptr;
      for (int p = 0; p < n; p++, out += e.y_px) {
        V v = finish(p);
        if (t0) v = hn::MulAdd(load(t0), hn::Set(d, first.scale), v), t0 += first.px;
        if (t1) v = hn::MulAdd(load(t1), hn::Set(d, second.scale), v), t1 += second.px;
        if (all)
          hn::StoreU(v, d, out);
        else
          hn::BlendedStore(v, mask, d, out);
      }
    }
    return;
  }
  for (int c = 0; c < count; c += kLanes) {
    const V bias = hn::LoadU(d, e.bias + co + c);
    const V slope = A == Act::prelu ? hn::LoadU(d, e.slopes + co + c) : hn::Set(d, e.slope);
    const int lanes = count - c < kLanes ? count - c : kLanes;
    for (int p = 0; p < n; p++) {
      V v = hn::Add(hn::LoadU(d, acc + p * acc_stride + c), bias);
      if (!e.act_last) v = activate<A>(d, v, slope);
      if (scaled) v = hn::Mul(v, scale);
      for (int a = 0; a < e.adds; a++) {
        const Epilogue::Add& add = e.add[a];
        const float* t = add.data + y * add.row + (x + p) * add.px;
        if (add.group == 1 && lanes == kLanes) {
          v = hn::MulAdd(hn::LoadU(d, t + co + c), hn::Set(d, add.scale), v);
        } else if (add.group == 1 && kMasked) {
          v = hn::MulAdd(hn::MaskedLoad(hn::FirstN(d, size_t(lanes)), d, t + co + c), hn::Set(d, add.scale),
                         v);
        } else {
          HWY_ALIGN float gathered[kLanes] = {};
          for (int i = 0; i < lanes; i++) gathered[i] = t[(co + c + i) / add.group];
          v = hn::MulAdd(hn::Load(d, gathered), hn::Set(d, add.scale), v);
        }
      }
      if (e.act_last) v = activate<A>(d, v, slope);
      if (e.shuffle == 1) {
        float* out = e.y + y * e.y_row + (x + p) * e.y_px + co + c;
        if (lanes == kLanes) {
          hn::StoreU(v, d, out);
        } else if (kMasked) {
          hn::BlendedStore(v, hn::FirstN(d, size_t(lanes)), d, out);
        } else {
          HWY_ALIGN float last[kLanes] = {};
          hn::Store(v, d, last);
          for (int i = 0; i < lanes; i++) out[i] = last[i];
        }
      } else {
        const int r = e.shuffle;
        HWY_ALIGN float last[kLanes] = {};
        hn::Store(v, d, last);
        float* out = e.y + int64_t(y) * r * e.y_row + int64_t(x + p) * r * e.y_px;
        int oc = (co + c) / (r * r), i = (co + c) / r % r, j = (co + c) % r;
        for (int l = 0; l < lanes; l++) {
          out[i * e.y_row + j * e.y_px + oc] = last[l];
          if (++j == r) {
            j = 0;
            if (++i == r) i = 0, oc++;
          }
        }
      }
    }
  }
}

inline void emit(const Epilogue& e, const float* acc, int acc_stride, int y, int x, int n, int co,
                 int count) {
  switch (e.act) {
    case Act::none:
      return emit_act<Act::none>(e, acc, acc_stride, y, x, n, co, count);
    case Act::relu:
      return emit_act<Act::relu>(e, acc, acc_stride, y, x, n, co, count);
    case Act::lrelu:
      return emit_act<Act::lrelu>(e, acc, acc_stride, y, x, n, co, count);
    case Act::prelu:
      return emit_act<Act::prelu>(e, acc, acc_stride, y, x, n, co, count);
    case Act::gelu:
      return emit_act<Act::gelu>(e, acc, acc_stride, y, x, n, co, count);
    case Act::silu:
      return emit_act<Act::silu>(e, acc, acc_stride, y, x, n, co, count);
  }
}

// Copies n floats.
HWY_INLINE void copy_floats(const float* HWY_RESTRICT from, float* HWY_RESTRICT to, int n) {
  const D d;
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  for (; i < n; i++) to[i] = from[i];
}

// Elements [first, first + n) of an f32 or f16 array as floats.
HWY_INLINE void widen(const void* from, bool f16, int64_t first, int n, float* HWY_RESTRICT to) {
  if (!f16) return copy_floats(static_cast<const float*>(from) + first, to, n);
  const D d;
  const hn::Rebind<hwy::float16_t, D> dh;
  const hwy::float16_t* h = static_cast<const hwy::float16_t*>(from) + first;
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, h + i)), d, to + i);
  if (i == n) return;
  HWY_ALIGN hwy::float16_t tail[kLanes] = {};
  HWY_ALIGN float wide[kLanes];
  for (int j = i; j < n; j++) tail[j - i] = h[j];
  hn::Store(hn::PromoteTo(d, hn::Load(dh, tail)), d, wide);
  for (int j = i; j < n; j++) to[j] = wide[j - i];
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
