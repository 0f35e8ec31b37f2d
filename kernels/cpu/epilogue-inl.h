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

// 0.5 * erfc(a / sqrt(2)) * a for a = min(ax, 5.3), beyond which it is below 1e-6. Vectors of 16 look up the
// coefficients of degree 4 on one of 16 segments, absolute error below 9e-8 * a; others evaluate a polynomial
// in 2 a / 5.3 - 1 fitted at Chebyshev nodes, absolute error below 1.2e-7 * a.
#if HWY_TARGET == HWY_AVX3
HWY_INLINE V gelu_tail(D d, V ax) {
  HWY_ALIGN static constexpr float kSegments[5][16] = {
      {5.000000000e-01f, 3.661997318e-01f, 2.470283359e-01f, 1.524914205e-01f, 8.569643646e-02f,
       4.366276786e-02f, 2.010364644e-02f, 8.343138732e-03f, 3.114431631e-03f, 1.044006902e-03f,
       3.138493630e-04f, 8.451975009e-05f, 2.037156446e-05f, 4.391338734e-06f, 8.460700087e-07f,
       1.456215983e-07f},
      {-1.364122480e-01f, -1.286658198e-01f, -1.079688668e-01f, -8.060405403e-02f, -5.353496596e-02f,
       -3.163292259e-02f, -1.662879623e-02f, -7.776789833e-03f, -3.235606477e-03f, -1.197635313e-03f,
       -3.943702613e-04f, -1.155290811e-04f, -3.010804721e-05f, -6.980299531e-06f, -1.439665198e-06f,
       -2.641436367e-07f},
      {-4.482804343e-06f, 7.521634921e-03f, 1.262346748e-02f, 1.413610391e-02f, 1.251847669e-02f,
       9.246271104e-03f, 5.832756404e-03f, 3.182480577e-03f, 1.513285330e-03f, 6.301613175e-04f,
       2.305689122e-04f, 7.430111873e-05f, 2.112482980e-05f, 5.306018011e-06f, 1.178602020e-06f,
       2.317077445e-07f},
      {2.683399012e-03f, 2.203573240e-03f, 1.118400134e-03f, -7.582178660e-05f, -8.993676747e-04f,
       -1.178619335e-03f, -1.037177513e-03f, -7.170469034e-04f, -4.103800165e-04f, -1.992261241e-04f,
       -8.315726154e-05f, -3.009383181e-05f, -9.495011000e-06f, -2.622125294e-06f, -6.356181643e-07f,
       -1.355394943e-07f},
      {-5.779786443e-05f, -2.095725649e-04f, -3.092816623e-04f, -2.669595124e-04f, -1.377799927e-04f,
       -7.805448149e-06f, 6.780782860e-05f, 8.412526950e-05f, 6.599922199e-05f, 3.983232091e-05f,
       1.966076525e-05f, 8.162083759e-06f, 2.894408453e-06f, 8.852032920e-07f, 2.349852366e-07f,
       5.439105522e-08f}};
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0f), scale = hn::Set(d, 15.5f / 5.3f);  // rounds to an integer
  const V a = hn::Min(ax, hn::Set(d, 5.3f));
  const V shifted = hn::MulAdd(a, scale, magic);
  const V f = hn::MulSub(a, scale, hn::Sub(shifted, magic));
  const auto at = hn::IndicesFromVec(d, hn::And(hn::BitCast(di, shifted), hn::Set(di, 15)));
  const auto part = [&](int i) { return hn::TableLookupLanes(hn::Load(d, kSegments[i]), at); };
  V p = hn::MulAdd(part(4), f, part(3));
  p = hn::MulAdd(p, f, part(2));
  p = hn::MulAdd(p, f, part(1));
  p = hn::MulAdd(p, f, part(0));
  return hn::Mul(p, a);
}
#else
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
#endif

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
