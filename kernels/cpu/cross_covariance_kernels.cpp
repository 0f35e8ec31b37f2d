// The products of cross-covariance attention: lanes run over the channels of a head.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_covariance_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/cross_covariance.h"
#include "kernels/cpu/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace {

// n <= kLanes floats; the other lanes are zero.
HWY_INLINE V load_lanes(D d, const float* from, int n) {
  if (n == kLanes) return hn::LoadU(d, from);
  if (kMasked) return hn::MaskedLoad(hn::FirstN(d, size_t(n)), d, from);
  HWY_ALIGN float lanes[kLanes] = {};
  for (int i = 0; i < n; i++) lanes[i] = from[i];
  return hn::Load(d, lanes);
}
HWY_INLINE void store_lanes(D d, V v, float* to, int n) {
  if (n == kLanes) return hn::StoreU(v, d, to);
  if (kMasked) return hn::BlendedStore(v, hn::FirstN(d, size_t(n)), d, to);
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  for (int i = 0; i < n; i++) to[i] = lanes[i];
}

// 16 pixels at a time: a row of the matrix is loaded and stored once for them.
void gram(const float* q, const float* k, int64_t px, int n, int d, float* gram, float* squares) {
  const D t;
  constexpr int kPixels = 16;
  for (int p0 = 0; p0 < n; p0 += kPixels, q += kPixels * px, k += kPixels * px) {
    const int pixels = n - p0 < kPixels ? n - p0 : kPixels;
    for (int j = 0; j < d; j += kLanes) {
      const int lanes = d - j < kLanes ? d - j : kLanes;
      V keys[kPixels], q2 = load_lanes(t, squares + j, lanes), k2 = load_lanes(t, squares + d + j, lanes);
      for (int p = 0; p < pixels; p++) {
        keys[p] = load_lanes(t, k + p * px + j, lanes);
        const V query = load_lanes(t, q + p * px + j, lanes);
        q2 = hn::MulAdd(query, query, q2);
        k2 = hn::MulAdd(keys[p], keys[p], k2);
      }
      store_lanes(t, q2, squares + j, lanes);
      store_lanes(t, k2, squares + d + j, lanes);
      for (int i = 0; i < d; i++) {
        V sum = load_lanes(t, gram + i * d + j, lanes);
        for (int p = 0; p < pixels; p++) sum = hn::MulAdd(hn::Set(t, q[p * px + i]), keys[p], sum);
        store_lanes(t, sum, gram + i * d + j, lanes);
      }
    }
  }
}

// P pixels and NV vectors of channels from i on.
template <int P, int NV>
HWY_INLINE void apply_tile(const float* a, int64_t a_row, const float* v, int64_t v_px, int d, int i,
                           float* y, int64_t y_px) {
  const D t;
  V sum[P][NV];
  for (int p = 0; p < P; p++)
    for (int n = 0; n < NV; n++) sum[p][n] = hn::Zero(t);
  for (int j = 0; j < d; j++) {
    V w[NV];
    for (int n = 0; n < NV; n++) w[n] = hn::LoadU(t, a + j * a_row + i + n * kLanes);
#pragma GCC unroll 8
    for (int p = 0; p < P; p++) {
      const V b = hn::Set(t, v[p * v_px + j]);
      for (int n = 0; n < NV; n++) sum[p][n] = hn::MulAdd(b, w[n], sum[p][n]);
    }
  }
  for (int n = 0; n < NV; n++) {
    const int from = i + n * kLanes, lanes = d - from < kLanes ? d - from : kLanes;
    for (int p = 0; p < P; p++) store_lanes(t, sum[p][n], y + p * y_px + from, lanes);
  }
}

template <int P>
HWY_INLINE void apply_pixels(const float* a, int64_t a_row, const float* v, int64_t v_px, int d, float* y,
                             int64_t y_px) {
  int i = 0;
  for (; d - i > kLanes; i += 2 * kLanes) apply_tile<P, 2>(a, a_row, v, v_px, d, i, y, y_px);
  if (i < d) apply_tile<P, 1>(a, a_row, v, v_px, d, i, y, y_px);
}

void apply(const float* a, int64_t a_row, const float* v, int64_t v_px, int n, int d, float* y,
           int64_t y_px) {
  constexpr int kPixels = 6;  // 6 x 2 sums, two weights and a broadcast fit in 16 registers
  int p = 0;
  for (; p + kPixels <= n; p += kPixels)
    apply_pixels<kPixels>(a, a_row, v + p * v_px, v_px, d, y + p * y_px, y_px);
  for (; p < n; p++) apply_pixels<1>(a, a_row, v + p * v_px, v_px, d, y + p * y_px, y_px);
}

}  // namespace

const CovarianceKernels* covariance_table() {
  static constexpr CovarianceKernels table = {gram, apply};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/cpu/isa_ready.h"

namespace ups::cpu {

HWY_EXPORT(covariance_table);
const CovarianceKernels& covariance_kernels() {
  isa_ready();
  return *HWY_DYNAMIC_DISPATCH(covariance_table)();
}

}  // namespace ups::cpu
#endif
