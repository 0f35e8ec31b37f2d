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
  HWY_ALIGN float lanes[kLanes] = {};
  for (int i = 0; i < n; i++) lanes[i] = from[i];
  return hn::Load(d, lanes);
}
HWY_INLINE void store_lanes(D d, V v, float* to, int n) {
  if (n == kLanes) return hn::StoreU(v, d, to);
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

void apply(const float* a, const float* v, int64_t v_px, int n, int d, float* y, int64_t y_px) {
  const D t;
  for (int p = 0; p < n; p++, v += v_px, y += y_px)
    for (int i = 0; i < d; i += kLanes) {
      const int lanes = d - i < kLanes ? d - i : kLanes;
      V sum = hn::Zero(t);
      for (int j = 0; j < d; j++)
        sum = hn::MulAdd(hn::Set(t, v[j]), load_lanes(t, a + j * d + i, lanes), sum);
      store_lanes(t, sum, y + i, lanes);
    }
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
