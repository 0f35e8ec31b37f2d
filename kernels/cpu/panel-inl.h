// Matrix products whose lanes are pixels: a panel [channels][kWidth] holds the pixels side by side, the
// weights are broadcast. Linear layers then follow each other without a transposition, outputs need no
// padding to whole vectors, and q, k and v come out as attention takes them.
// Included once per target (see epilogue-inl.h).
#if defined(UPS_PANEL_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef UPS_PANEL_INL
#undef UPS_PANEL_INL
#else
#define UPS_PANEL_INL
#endif

#include <hwy/highway.h>
// after it
#include <hwy/cache_control.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace panel {
namespace hn = hwy::HWY_NAMESPACE;
using gemm::D;
using gemm::kL;
using gemm::kRows;
using gemm::V;

constexpr int kWidth = 2 * kL;

// One register tile: out[p][lane] = sum over i < k of a(p, i) * b[i][lane], for P rows and kWidth lanes.
struct TileArgs {
  const float* a = nullptr;
  int64_t a_stride = 0;  // of i (logits) or of p (values); linear: a is packed [k][P]
  int k = 0;
  const float* b = nullptr;
  int64_t b_row = 0;
  float* out = nullptr;
  int64_t out_row = 0;
  const float* init = nullptr;  // linear: [P]; logits: [P][init_row]
  int64_t init_row = 0;
  float* top = nullptr;           // logits: running maximum of each lane
  const float* factor = nullptr;  // values: [kWidth], multiplied in last
  // Products, of packed a: where the sums are added to, where what is added to them lies (rows of out_row),
  // and init as for linear. All may be null.
  float* also = nullptr;
  const float* from = nullptr;
};
enum class Tile { linear, linear_gelu, product, product_gelu, logits, values };

template <int P, Tile kTile>
HWY_NOINLINE void tile(const TileArgs& t) {
  const D d;
  constexpr bool kLinear = kTile == Tile::linear || kTile == Tile::linear_gelu;
  constexpr bool kProduct = kTile == Tile::product || kTile == Tile::product_gelu;
  constexpr bool kPacked = kLinear || kProduct;
  V acc[P][2];  // every loop over it unrolled, or GCC keeps it in memory
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int v = 0; v < 2; v++) {
      if constexpr (kLinear)
        acc[p][v] = hn::Set(d, t.init[p]);
      else if constexpr (kTile == Tile::logits)
        acc[p][v] = hn::Load(d, t.init + p * t.init_row + v * kL);
      else
        acc[p][v] = hn::Zero(d);
    }
  const float* b = t.b;
  if constexpr (kTile == Tile::values) {
    const float* ap[(P + 3) / 4];  // few enough pointers for 16 integer registers
    for (int q = 0; q < (P + 3) / 4; q++) ap[q] = t.a + 4 * q * t.a_stride;
    for (int i = 0; i < t.k; i++, b += t.b_row) {
      const V b0 = hn::Load(d, b), b1 = hn::Load(d, b + kL);
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const V w = hn::Set(d, ap[p / 4][p % 4 * t.a_stride]);
        acc[p][0] = hn::MulAdd(w, b0, acc[p][0]), acc[p][1] = hn::MulAdd(w, b1, acc[p][1]);
      }
      for (int q = 0; q < (P + 3) / 4; q++) ap[q]++;
    }
  } else {
    const float* a = t.a;
    const int64_t step = kPacked ? P : t.a_stride;
    for (int i = 0; i < t.k; i++, a += step, b += t.b_row) {
      const V b0 = hn::Load(d, b), b1 = hn::Load(d, b + kL);
      if constexpr (kPacked) hwy::Prefetch(a + 16 * P);
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const V w = hn::Set(d, a[p]);
        acc[p][0] = hn::MulAdd(w, b0, acc[p][0]), acc[p][1] = hn::MulAdd(w, b1, acc[p][1]);
      }
    }
  }
  if constexpr (kTile == Tile::logits) {
    V top0 = hn::Load(d, t.top), top1 = hn::Load(d, t.top + kL);
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) top0 = hn::Max(top0, acc[p][0]), top1 = hn::Max(top1, acc[p][1]);
    hn::Store(top0, d, t.top), hn::Store(top1, d, t.top + kL);
  }
  if constexpr (kTile == Tile::values) {
    const V f0 = hn::Load(d, t.factor), f1 = hn::Load(d, t.factor + kL);
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) acc[p][0] = hn::Mul(acc[p][0], f0), acc[p][1] = hn::Mul(acc[p][1], f1);
  }
  if constexpr (kProduct) {
    const auto each = [&](auto&& f) {
#pragma GCC unroll 16
      for (int p = 0; p < P; p++)
        for (int v = 0; v < 2; v++) f(acc[p][v], p, p * t.out_row + v * kL);
    };
    if (t.also)
      each(
          [&](V sum, int, int64_t at) { hn::Store(hn::Add(hn::Load(d, t.also + at), sum), d, t.also + at); });
    if (t.from) each([&](V& sum, int, int64_t at) { sum = hn::Add(sum, hn::Load(d, t.from + at)); });
    if (t.init) each([&](V& sum, int p, int64_t) { sum = hn::Add(sum, hn::Set(d, t.init[p])); });
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int v = 0; v < 2; v++) {
      if constexpr (kTile == Tile::linear_gelu || kTile == Tile::product_gelu)
        acc[p][v] = activate<Act::gelu>(d, acc[p][v], acc[p][v]);
      hn::Store(acc[p][v], d, t.out + p * t.out_row + v * kL);
    }
}

using TileFunction = void (*)(const TileArgs&);

// The tile of `rows` rows, 1 to kRows.
template <Tile kTile>
HWY_INLINE TileFunction tile_of(int rows) {
  constexpr auto least = [](int p) { return p < kRows ? p : kRows; };
  static constexpr TileFunction kTiles[] = {
      tile<1, kTile>,        tile<2, kTile>,         tile<3, kTile>,         tile<4, kTile>,
      tile<5, kTile>,        tile<6, kTile>,         tile<least(7), kTile>,  tile<least(8), kTile>,
      tile<least(9), kTile>, tile<least(10), kTile>, tile<least(11), kTile>, tile<least(12), kTile>};
  return kTiles[rows - 1];
}

// Splits n rows into tiles as equal as can be: the first row of tile i of `tiles`.
HWY_INLINE int tiles_for(int n) { return (n + kRows - 1) / kRows; }
HWY_INLINE int first_row(int n, int i, int tiles) { return n * i / tiles; }

#if HWY_TARGET != HWY_SCALAR
// Lanes 4 b .. 4 b + 3 from at[4 b].
template <class DD>
HWY_INLINE hn::Vec<DD> load_blocks(DD d, const float* const* at, int64_t offset) {
  if constexpr (hn::MaxLanes(d) <= 4) {
    return hn::LoadU(d, at[0] + offset);
  } else {
    const hn::Half<DD> h;
    return hn::Combine(d, load_blocks(h, at + hn::MaxLanes(d) / 2, offset), load_blocks(h, at, offset));
  }
}

// Transposes the 4 x 4 values of each block of 128 bits.
template <class DD>
HWY_INLINE void transpose_blocks(DD d, hn::Vec<DD>* r) {
  const hn::Repartition<uint64_t, DD> d2;
  const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d, r[0], r[1]));
  const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d, r[2], r[3]));
  const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d, r[0], r[1]));
  const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d, r[2], r[3]));
  r[0] = hn::BitCast(d, hn::InterleaveLower(d2, low01, low23));
  r[1] = hn::BitCast(d, hn::InterleaveUpper(d2, low01, low23));
  r[2] = hn::BitCast(d, hn::InterleaveLower(d2, high01, high23));
  r[3] = hn::BitCast(d, hn::InterleaveUpper(d2, high01, high23));
}
#endif

// Channels [0, c) of n pixels, a multiple of kL, to to[channel * row + pixel]. Nothing beyond is read.
HWY_INLINE void load_pixels(const float* const* px, int n, int c, float* HWY_RESTRICT to, int64_t row) {
  [[maybe_unused]] const D d;
  for (int p = 0; p < n; p += kL) {
    int i = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; i < c && c >= 4; i += 4) {
      if (i + 4 > c) i = c - 4;  // some channels a second time
      V r[4] = {load_blocks(d, px + p, i), load_blocks(d, px + p + 1, i), load_blocks(d, px + p + 2, i),
                load_blocks(d, px + p + 3, i)};
      transpose_blocks(d, r);
      for (int k = 0; k < 4; k++) hn::StoreU(r[k], d, to + (i + k) * row + p);
    }
#endif
    for (; i < c; i++)
      for (int k = 0; k < kL; k++) to[i * row + p + k] = px[p + k][i];
  }
}

// The way back: finish(pixel, channel, values, count) for vectors of channels; reads whole vectors of rows.
template <class Finish>
HWY_INLINE void store_pixels(const float* HWY_RESTRICT from, int64_t row, int n, int c, Finish&& finish) {
  const D d;
  for (int i = 0; i < c; i += kL) {
    const int count = c - i < kL ? c - i : kL;
    const float* at = from + i * row;
#if HWY_TARGET == HWY_SCALAR
    for (int p = 0; p < n; p++) finish(p, i, hn::LoadU(d, at + p), count);
#else
    const float* rows[4 * kL];  // of block b: channels 4 b ..
    for (int k = 0; k < kL; k++) rows[k] = at + k * row;
    for (int p = 0; p < n; p += 4) {
      V r[4] = {load_blocks(d, rows, p), load_blocks(d, rows + 1, p), load_blocks(d, rows + 2, p),
                load_blocks(d, rows + 3, p)};
      transpose_blocks(d, r);
      for (int k = 0; k < 4 && p + k < n; k++) finish(p + k, i, r[k], count);
    }
#endif
  }
}

}  // namespace panel
}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();
#endif
