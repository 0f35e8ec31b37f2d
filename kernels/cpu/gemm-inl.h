// The register tile of matrix products: P rows of A, broadcast, times NV vectors of a packed panel.
// Included once per target (see epilogue-inl.h).
#if defined(UPS_GEMM_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_GEMM_INL
#undef UPS_GEMM_INL
#else
#define UPS_GEMM_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace gemm {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int kL = HWY_MAX_BYTES / 4;

// 32 vector registers hold 12 x 2 sums, two vectors of the panel and a broadcast; 16 hold 6 x 2.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kRows = 12;
#else
constexpr int kRows = 6;
#endif

// out[p * out_row + c] = sum over i < k of a[p * a_row + i] * panel[i * NV * kL + c]
template <int P, int NV>
HWY_NOINLINE void tile(const float* a, int64_t a_row, int k, const float* HWY_RESTRICT panel,
                       float* HWY_RESTRICT out, int64_t out_row) {
  const D d;
  V acc[P][NV];  // every loop over it unrolled, or GCC keeps it in memory
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int v = 0; v < NV; v++) acc[p][v] = hn::Zero(d);
  const float* ap[(P + 3) / 4];  // few enough pointers for 16 integer registers
  for (int q = 0; q < (P + 3) / 4; q++) ap[q] = a + 4 * q * a_row;
  for (int i = 0; i < k; i++) {
    V w[NV];
    for (int v = 0; v < NV; v++) w[v] = hn::Load(d, panel + v * kL);
    panel += NV * kL;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      const V b = hn::Set(d, ap[p / 4][p % 4 * a_row]);
      for (int v = 0; v < NV; v++) acc[p][v] = hn::MulAdd(b, w[v], acc[p][v]);
    }
    for (int q = 0; q < (P + 3) / 4; q++) ap[q]++;
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int v = 0; v < NV; v++) hn::StoreU(acc[p][v], d, out + p * out_row + v * kL);
}

// The first n floats at p, zero beyond. What lies beyond is not touched.
HWY_INLINE V load_first(const float* p, int n) {
  const D d;
  if (n >= kL) return hn::LoadU(d, p);
  if constexpr (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2) {
    return hn::MaskedLoad(hn::FirstN(d, size_t(n)), d, p);
  } else {
    HWY_ALIGN float whole[kL] = {};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return hn::Load(d, whole);
  }
}

// Stores the first n lanes.
HWY_INLINE void store_first(V v, float* p, int n) {
  const D d;
  if (n >= kL) return hn::StoreU(v, d, p);
  if constexpr (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2) {
    hn::BlendedStore(v, hn::FirstN(d, size_t(n)), d, p);
  } else {
    HWY_ALIGN float whole[kL];
    hn::Store(v, d, whole);
    for (int i = 0; i < n; i++) p[i] = whole[i];
  }
}

using Tile = void (*)(const float*, int64_t, int, const float*, float*, int64_t);

// Rows the tile for `left` remaining rows computes: a third, two thirds or all of kRows.
HWY_INLINE int rows_for(int left) {
  constexpr int kStep = kRows / 3;
  return left > 2 * kStep ? kRows : left > kStep ? 2 * kStep : kStep;
}
HWY_INLINE Tile tile_for(int rows, int vectors) {
  constexpr int kStep = kRows / 3;
  if (rows == kRows) return vectors == 2 ? tile<kRows, 2> : tile<kRows, 1>;
  if (rows == 2 * kStep) return vectors == 2 ? tile<2 * kStep, 2> : tile<2 * kStep, 1>;
  return vectors == 2 ? tile<kStep, 2> : tile<kStep, 1>;
}

}  // namespace gemm
}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
