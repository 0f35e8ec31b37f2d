// B^T, A^T and G of large Winograd tiles, in one dimension, on vectors. Included once per target (see
// epilogue-inl.h).
#if defined(UPS_WINOGRAD_LARGE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_WINOGRAD_LARGE_INL
#undef UPS_WINOGRAD_LARGE_INL
#else
#define UPS_WINOGRAD_LARGE_INL
#endif

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/winograd_points.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace large {

template <int M>
struct Points {
  static constexpr WinogradCoefficients<M> c{};
};

// v = B^T d
template <int M>
HWY_INLINE void input_1d(D d, const V* x, V* v) {
  constexpr int kPairs = M / 2, kN = M + 2;
  constexpr const WinogradCoefficients<M>& c = Points<M>::c;
  V zero = x[0], inf = x[1];
#pragma GCC unroll 8
  for (int i = 1; i <= kPairs; i++) {
    zero = hn::MulAdd(x[2 * i], hn::Set(d, c.all[i]), zero);
    inf = hn::MulAdd(x[2 * i + 1], hn::Set(d, c.all[i]), inf);
  }
  v[0] = zero, v[kN - 1] = inf;
#pragma GCC unroll 8
  for (int k = 0; k < kPairs; k++) {
    V even = x[2 * kPairs], odd = x[2 * kPairs - 1];
#pragma GCC unroll 8
    for (int i = kPairs - 2; i >= 0; i--) {
      even = hn::MulAdd(x[2 * i + 2], hn::Set(d, c.r[k][i]), even);
      odd = hn::MulAdd(x[2 * i + 1], hn::Set(d, c.r[k][i]), odd);
    }
    v[2 * k + 1] = hn::MulAdd(odd, hn::Set(d, c.point[k]), even);
    v[2 * k + 2] = hn::NegMulAdd(odd, hn::Set(d, c.point[k]), even);
  }
}

// y = A^T m
template <int M>
HWY_INLINE void output_1d(D d, const V* m, V* y) {
  constexpr int kPairs = M / 2, kN = M + 2;
  constexpr const WinogradCoefficients<M>& c = Points<M>::c;
  V sum[kPairs], difference[kPairs];
#pragma GCC unroll 8
  for (int k = 0; k < kPairs; k++)
    sum[k] = hn::Add(m[2 * k + 1], m[2 * k + 2]), difference[k] = hn::Sub(m[2 * k + 1], m[2 * k + 2]);
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) {
    V v = i == 0 ? m[0] : i == M - 1 ? m[kN - 1] : hn::Zero(d);
#pragma GCC unroll 8
    for (int k = 0; k < kPairs; k++) {
      const V half = i % 2 ? difference[k] : sum[k];
      if (i == 0)
        v = hn::Add(v, half);
      else if (k == 0 && i < M - 1)
        v = hn::Mul(half, hn::Set(d, c.a[k][i]));
      else
        v = hn::MulAdd(half, hn::Set(d, c.a[k][i]), v);
    }
    y[i] = v;
  }
}

// Row i of G times three weights.
template <int M>
HWY_INLINE V weight_at(D d, int i, V g0, V g1, V g2) {
  constexpr int kN = M + 2;
  constexpr const WinogradCoefficients<M>& c = Points<M>::c;
  if (i == 0) return g0;
  if (i == kN - 1) return hn::Mul(g2, hn::Set(d, c.g_inf));
  const float* g = c.g[(i - 1) / 2];
  const V even = hn::MulAdd(g0, hn::Set(d, g[0]), hn::Mul(g2, hn::Set(d, g[2])));
  return hn::MulAdd(g1, hn::Set(d, i % 2 ? g[1] : -g[1]), even);
}

}  // namespace large
}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
