// The sums of one chunk (statistics.h), per ISA. Included once per target, after epilogue-inl.h.
#if defined(UPS_STATISTICS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_STATISTICS_INL
#undef UPS_STATISTICS_INL
#else
#define UPS_STATISTICS_INL
#endif

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/statistics.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

// One vector of channels of h <= 4 rows by w <= 16 columns. to: ChunkSums::of, its parts `part` floats apart.
template <class Load>
HWY_INLINE void vector_sums(const Load& load, int64_t row, int64_t px, int h, int w, float* to, int part) {
  const D d;
  const V pivot = load(0);
  V s = hn::Zero(d), q = hn::Zero(d);
  for (int j = 0; j < w; j++) {
    V v[kChunkRows];
    for (int i = 0; i < kChunkRows; i++) v[i] = i < h ? hn::Sub(load(i * row + j * px), pivot) : hn::Zero(d);
    s = hn::Add(s, hn::Add(hn::Add(v[0], v[1]), hn::Add(v[2], v[3])));
    q = hn::Add(
        q, hn::Add(hn::MulAdd(v[1], v[1], hn::Mul(v[0], v[0])), hn::MulAdd(v[3], v[3], hn::Mul(v[2], v[2]))));
  }
  hn::StoreU(pivot, d, to), hn::StoreU(s, d, to + part), hn::StoreU(q, d, to + 2 * part);
}

// Channels [co, co + count) of the chunk that begins at pixel (y, x) of the image e describes; co is a
// multiple of kLanes. Only rows before row_end and columns before out_w exist.
HWY_INLINE void take_chunk(const ChunkSums& sums, const float* image, int64_t row, int64_t px, int y, int x,
                           int row_end, int out_w, int co, int count) {
  const D d;
  const int h = row_end - y < kChunkRows ? row_end - y : kChunkRows;
  const int w = out_w - x < kChunkColumns ? out_w - x : kChunkColumns;
  const float* from = image + y * row + x * px + co;
  float* to = sums.of(y, x, co);
  for (int c = 0; c < count; c += kLanes, from += kLanes, to += kLanes) {
    if (count - c >= kLanes) {
      vector_sums([&](int64_t at) { return hn::LoadU(d, from + at); }, row, px, h, w, to, sums.c);
    } else {
      const int left = count - c;
      const auto load = [&](int64_t at) {
        HWY_ALIGN float part[kLanes] = {};
        for (int i = 0; i < left; i++) part[i] = from[at + i];
        return hn::Load(d, part);
      };
      vector_sums(load, row, px, h, w, to, sums.c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
