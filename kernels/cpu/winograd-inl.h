// What the Winograd kernels of all tile sizes share. Included once per target (see epilogue-inl.h).
#if defined(UPS_WINOGRAD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_WINOGRAD_INL
#undef UPS_WINOGRAD_INL
#else
#define UPS_WINOGRAD_INL
#endif

#include "kernels/cpu/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

// Tiles of a register tile of products.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kTiles = 12;  // 12 x 2 sums, two weights and a broadcast in 32 registers
#else
constexpr int kTiles = 6;
#endif

// n <= 2 * kLanes weights that lie `step` apart.
HWY_INLINE void widen_apart(const void* from, bool f16, int64_t first, int step, int n, float* to) {
  const D d;
  const float* at = static_cast<const float*>(from) + first;
  int i = 0;
  if (!f16 && step == 4) {
    // Whole vectors of all four, of which one is wanted: a gather is slower. `first` is one of four.
    const int which = int(first % 4);
    for (; i + kLanes <= n; i += kLanes) {
      V v[4];
      hn::LoadInterleaved4(d, at - which + 4 * i, v[0], v[1], v[2], v[3]);
      hn::StoreU(which == 0 ? v[0] : which == 1 ? v[1] : which == 2 ? v[2] : v[3], d, to + i);
    }
  } else if (!f16) {
    const hn::RebindToSigned<D> di;
    const auto index = hn::Mul(hn::Iota(di, 0), hn::Set(di, step));
    for (; i + kLanes <= n; i += kLanes)
      hn::StoreU(hn::GatherIndex(d, at + int64_t(i) * step, index), d, to + i);
  }
  for (; i < n; i++) widen(from, f16, first + int64_t(i) * step, 1, to + i);
}

// floor(a / 2) or a: the source coordinate of upsampled coordinate a >= -1.
HWY_INLINE int source(int a, int up) { return up == 1 ? a : (a + 2) / 2 - 1; }

// Turns the epilogue of a pixel shuffle into that of one phase: an ordinary convolution's to every r-th
// pixel, whose output channels begin at 0.
HWY_INLINE void aim_phase(Epilogue& e, int phase, int channels) {
  const int r = e.shuffle;
  e.bias += phase * channels;
  if (e.slopes) e.slopes += phase * channels;
  e.y += phase / r * e.y_row + phase % r * e.y_px;
  e.y_row *= r, e.y_px *= r, e.shuffle = 1;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
