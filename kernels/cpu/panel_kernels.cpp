// Panels of pixels: packing of weights, transposition, normalisation and linear layers, per ISA.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// after it
#include "kernels/cpu/panel-inl.h"
#include "kernels/cpu/panel.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace {
using panel::kWidth;

// Strassen's algorithm in Winograd's form: with the weights and a pair of panels as matrices of two by two
// blocks, 7 products of blocks instead of 8. The sums of weights are made when they are packed. A
// pixel's rounding depends on its partner in the other panel, so pairs are the same however work is divided.
constexpr int kFactors = 7;

void pack_factors(const PanelWeights& w, float* packed, int begin, int end) {
  const int k = w.cin / 2, n = w.cout / 2, tiles = panel::tiles_for(n);
  for (int tile = 0; tile < tiles; tile++) {
    const int first = panel::first_row(n, tile, tiles), rows = panel::first_row(n, tile + 1, tiles) - first;
    for (int i = begin; i < end; i++) {
      float a[2][2][gemm::kRows];  // of half the outputs, half the inputs
      for (int out = 0; out < 2; out++)
        for (int in = 0; in < 2; in++)
          widen(w.weight, w.f16, int64_t(i + in * k) * w.cout + out * n + first, rows, a[out][in]);
      float* const to = packed + int64_t(first) * k + int64_t(i) * rows;
      const int64_t factor = int64_t(k) * n;
      for (int r = 0; r < rows; r++) {
        const float s1 = a[1][0][r] + a[1][1][r], s2 = s1 - a[0][0][r];
        const float factors[kFactors] = {a[0][0][r], a[0][1][r],     s2, a[0][0][r] - a[1][0][r], s1,
                                         a[1][1][r], a[0][1][r] - s2};
        for (int f = 0; f < kFactors; f++) to[f * factor + r] = factors[f];
      }
    }
  }
}

void multiply_pair(const PanelWeights& w, const PanelPair& p) {
  const D d;
  const int k = w.cin / 2, n = w.cout / 2, tiles = panel::tiles_for(n);
  const int64_t half = int64_t(k) * kWidth;
  const float *const b11 = p.x[0], *const b21 = b11 + half, *const b12 = p.x[1], *const b22 = b12 + half;
  float *const t1 = p.sums, *const t2 = t1 + half, *const t3 = t2 + half, *const t4 = t3 + half;
  for (int64_t i = 0; i < half; i += kLanes) {
    const V x12 = hn::Load(d, b12 + i), x22 = hn::Load(d, b22 + i), s1 = hn::Sub(x12, hn::Load(d, b11 + i));
    const V s2 = hn::Sub(x22, s1);
    hn::Store(s1, d, t1 + i), hn::Store(s2, d, t2 + i), hn::Store(hn::Sub(x22, x12), d, t3 + i);
    hn::Store(hn::Sub(hn::Load(d, b21 + i), s2), d, t4 + i);
  }
  float *const c11 = p.out[0], *const c12 = p.out[1];
  float *const c21 = c11 + n * p.out_row, *const c22 = c12 + n * p.out_row;
  const struct {
    const float *b, *from;
    float *also, *out;
    const float* bias;  // of a sum's last product
  } products[kFactors] = {{b11, nullptr, nullptr, c12, nullptr}, {b21, c12, nullptr, c11, w.bias},
                          {t2, c12, nullptr, c12, nullptr},      {t3, c12, nullptr, c21, nullptr},
                          {t1, c21, c12, c22, w.bias + n},       {t4, c21, nullptr, c21, w.bias + n},
                          {b22, c12, nullptr, c12, w.bias}};
  const float* factor = w.packed;
  panel::TileArgs t;
  t.k = k, t.b_row = kWidth, t.out_row = p.out_row;
  for (const auto& product : products) {
    t.b = product.b;
    const bool gelu = w.gelu && product.bias;
    for (int i = 0; i < tiles; i++) {
      const int first = panel::first_row(n, i, tiles), rows = panel::first_row(n, i + 1, tiles) - first;
      const int64_t at = first * p.out_row;
      t.a = factor + int64_t(first) * k, t.out = product.out + at;
      t.from = product.from ? product.from + at : nullptr;
      t.also = product.also ? product.also + at : nullptr;
      t.init = product.bias ? product.bias + first : nullptr;
      (gelu ? panel::tile_of<panel::Tile::product_gelu>(rows)
            : panel::tile_of<panel::Tile::product>(rows))(t);
    }
    factor += int64_t(k) * n;
  }
}

// A few rows of the matrix at a time, because they come from far away. Nothing is written twice: threads
// share the tiles.
void panel_pack(const PanelWeights& w, float* packed, int begin, int end) {
  if (w.strassen()) return pack_factors(w, packed, begin, end);
  const int tiles = panel::tiles_for(w.cout);
  for (int tile = 0; tile < tiles; tile++) {
    const int first = panel::first_row(w.cout, tile, tiles);
    const int rows = panel::first_row(w.cout, tile + 1, tiles) - first;
    float* to = packed + int64_t(first) * w.cin + int64_t(begin) * rows;
    for (int i = begin; i < end; i++, to += rows) {
      const int64_t from = int64_t(i) * w.cout + first;
      int r = 0;
#if HWY_TARGET != HWY_SCALAR
      const hn::Full128<float> d4;
      for (const float* at = static_cast<const float*>(w.weight) + from; !w.f16 && r + 4 <= rows; r += 4)
        hn::StoreU(hn::LoadU(d4, at + r), d4, to + r);
#endif
      if (r < rows) widen(w.weight, w.f16, from + r, rows - r, to + r);
    }
  }
}

void panel_load(const float* const* px, int n, int c, float* to, int64_t row) {
  panel::load_pixels(px, n, c, to, row);
}

void panel_add(float* panel, const float* other, int c) {
  const D d;
  for (int64_t i = 0; i < int64_t(c) * kWidth; i += kLanes)
    hn::Store(hn::Add(hn::Load(d, panel + i), hn::Load(d, other + i)), d, panel + i);
}

void panel_normalise(const float* t, float* to, int c, const float* gamma, const float* beta, float eps) {
  const D d;
  const V inverse_c = hn::Set(d, 1.0f / float(c));
  for (int v = 0; v < kWidth; v += kLanes) {
    const float* const at = t + v;
    V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    int i = 0;
    for (; i + 4 <= c; i += 4) {
      s0 = hn::Add(s0, hn::Load(d, at + i * kWidth)), s1 = hn::Add(s1, hn::Load(d, at + (i + 1) * kWidth));
      s2 = hn::Add(s2, hn::Load(d, at + (i + 2) * kWidth)),
      s3 = hn::Add(s3, hn::Load(d, at + (i + 3) * kWidth));
    }
    for (; i < c; i++) s0 = hn::Add(s0, hn::Load(d, at + i * kWidth));
    const V mean = hn::Mul(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), inverse_c);
    s0 = s1 = s2 = s3 = hn::Zero(d);
    const auto centred = [&](int k) { return hn::Sub(hn::Load(d, at + k * kWidth), mean); };
    for (i = 0; i + 4 <= c; i += 4) {
      const V a0 = centred(i), a1 = centred(i + 1), a2 = centred(i + 2), a3 = centred(i + 3);
      s0 = hn::MulAdd(a0, a0, s0), s1 = hn::MulAdd(a1, a1, s1);
      s2 = hn::MulAdd(a2, a2, s2), s3 = hn::MulAdd(a3, a3, s3);
    }
    for (; i < c; i++) s0 = hn::MulAdd(centred(i), centred(i), s0);
    const V variance = hn::Mul(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), inverse_c);
    const V scale = hn::Div(hn::Set(d, 1), hn::Sqrt(hn::Add(variance, hn::Set(d, eps))));
    for (i = 0; i < c; i++) {
      const V y = hn::Mul(centred(i), scale);
      hn::Store(hn::MulAdd(y, hn::Set(d, gamma[i]), hn::Set(d, beta[i])), d, to + v + i * kWidth);
    }
  }
}

void panel_fetch(const float* const* px, int n, int c) {
  for (int p = 0; p < n; p++)
    for (int i = 0; i < c; i += 16) hwy::Prefetch(px[p] + i);
}

void panel_linear(const PanelWeights& w, const PanelPair& p) {
  if (w.strassen()) return multiply_pair(w, p);
  const int tiles = panel::tiles_for(w.cout);
  panel::TileArgs t;
  t.k = w.cin, t.b_row = kWidth, t.out_row = p.out_row;
  for (int i = 0; i < tiles; i++) {
    const int first = panel::first_row(w.cout, i, tiles);
    const int rows = panel::first_row(w.cout, i + 1, tiles) - first;
    t.a = w.packed + int64_t(first) * w.cin, t.init = w.bias + first;
    for (int j = 0; j < 2; j++) {
      t.b = p.x[j], t.out = p.out[j] + first * p.out_row;
      (w.gelu ? panel::tile_of<panel::Tile::linear_gelu>(rows)
              : panel::tile_of<panel::Tile::linear>(rows))(t);
    }
  }
}

void panel_store(const PanelStore& s, const float* panel) {
  const D d;
  const V scale = hn::Set(d, s.add_scale);
  panel::store_pixels(panel, kWidth, s.n, s.c, [&](int p, int c, V v, int count) {
    if (s.residual) v = hn::Add(v, gemm::load_first(s.residual[p] + c, count));
    if (s.add) v = hn::MulAdd(gemm::load_first(s.add[p] + c, count), scale, v);
    gemm::store_first(v, s.y[p] + c, count);
  });
}

}  // namespace

const PanelKernels* panel_table() {
  static constexpr PanelKernels table = {kWidth,          gemm::kRows, panel_pack,   panel_load, panel_fetch,
                                         panel_normalise, panel_add,   panel_linear, panel_store};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(panel_table);
const PanelKernels& panel_kernels() { return *HWY_DYNAMIC_DISPATCH(panel_table)(); }

}  // namespace ups::cpu
#endif
