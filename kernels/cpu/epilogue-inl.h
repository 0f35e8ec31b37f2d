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

// 0.5 * erfc(|x| / sqrt(2)) * |x|, absolute error below 1e-7 * |x|: Abramowitz and Stegun (1964), 7.1.26.
HWY_INLINE V gelu_tail(D d, V ax) {
  const V z = hn::Mul(ax, hn::Set(d, 0.70710678118654752f));
  const V t = hn::Div(hn::Set(d, 1), hn::MulAdd(hn::Set(d, 0.3275911f), z, hn::Set(d, 1)));
  V p = hn::Set(d, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const V e = hn::Exp(d, hn::Neg(hn::Mul(z, z)));
  return hn::Mul(hn::Mul(hn::Mul(p, t), e), hn::Mul(ax, hn::Set(d, 0.5f)));
}

// Comparisons are arranged so that NaN stays NaN, as in PyTorch.
template <Act A>
HWY_INLINE V activate(D d, V v, V slope) {
  const V zero = hn::Zero(d);
  if constexpr (A == Act::relu) return hn::IfThenElse(hn::Lt(v, zero), zero, v);
  if constexpr (A == Act::lrelu || A == Act::prelu)
    return hn::IfThenElse(hn::Gt(v, zero), v, hn::Mul(v, slope));
  if constexpr (A == Act::gelu) {
    const V ax = hn::Abs(v);
    const V smooth = hn::Sub(hn::IfThenElse(hn::Gt(v, zero), v, hn::Sub(v, v)), gelu_tail(d, ax));
    return hn::IfThenElse(hn::Gt(ax, hn::Set(d, 20)), hn::IfThenElse(hn::Gt(v, zero), v, hn::Mul(v, zero)),
                          smooth);
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
