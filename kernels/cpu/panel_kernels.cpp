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

// A few rows of the matrix at a time, because they come from far away. Nothing is written twice: threads
// share the tiles.
void panel_pack(const PanelWeights& w, float* packed, int begin, int end) {
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

void panel_normalise(float* HWY_RESTRICT t, int c, const float* gamma, const float* beta, float eps) {
  const D d;
  const V inverse_c = hn::Set(d, 1.0f / float(c));
  for (int v = 0; v < kWidth; v += kLanes) {
    float* const at = t + v;
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
      hn::Store(hn::MulAdd(y, hn::Set(d, gamma[i]), hn::Set(d, beta[i])), d, at + i * kWidth);
    }
  }
}

void panel_fetch(const float* const* px, int n, int c) {
  for (int p = 0; p < n; p++)
    for (int i = 0; i < c; i += 16) hwy::Prefetch(px[p] + i);
}

void panel_linear(const PanelWeights& w, const float* panel, float* out, int64_t out_row) {
  const int tiles = panel::tiles_for(w.cout);
  panel::TileArgs t;
  t.k = w.cin, t.b = panel, t.b_row = kWidth, t.out_row = out_row;
  for (int i = 0; i < tiles; i++) {
    const int first = panel::first_row(w.cout, i, tiles);
    const int rows = panel::first_row(w.cout, i + 1, tiles) - first;
    t.a = w.packed + int64_t(first) * w.cin, t.init = w.bias + first, t.out = out + first * out_row;
    (w.gelu ? panel::tile_of<panel::Tile::linear_gelu>(rows) : panel::tile_of<panel::Tile::linear>(rows))(t);
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
  static constexpr PanelKernels table = {kWidth,      gemm::kRows,     panel_pack,   panel_load,
                                         panel_fetch, panel_normalise, panel_linear, panel_store};
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
