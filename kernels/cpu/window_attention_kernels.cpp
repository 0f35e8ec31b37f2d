// One head of a panel of queries, and layer normalisation of a run of pixels, per ISA.
//
// Logits by register tiles of keys that start from the bias and keep the maximum; a pass of exp; the sum over
// v by register tiles of channels. With 64 keys of 30 channels all of it stays in L1, with 256 in L1 and L2.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/window_attention_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// after it
#include "kernels/cpu/panel-inl.h"
#include "kernels/cpu/window_attention.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using gemm::kL;
using panel::kWidth;

constexpr float kMask = -100 * kLog2E;

// 2^x for x <= 0, to 2 units in the last place; below -125 as there. NaN stays NaN.
HWY_INLINE V exp2_negative(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0f);  // 1.5 * 2^23: the sum has x, rounded, in its last bits
  x = hn::Max(hn::Set(d, -125), x);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));
  V p = hn::Set(d, 1.327647129e-03f);
  p = hn::MulAdd(p, f, hn::Set(d, 9.675540961e-03f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550713092e-02f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402212024e-01f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931469440e-01f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.000000119e+00f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

void attend(const AttendArgs& a) {
  const D d;
  float* const logits = a.memory;
  float* const top = a.memory + int64_t(a.keys) * kWidth;
  float* const factor = top + kWidth;
  for (int v = 0; v < kWidth; v += kL) hn::Store(hn::Set(d, -1e30f), d, top + v);

  panel::TileArgs t;
  t.a_stride = a.k_row, t.k = a.d, t.b = a.q, t.b_row = a.q_row;
  t.out_row = t.init_row = kWidth, t.top = top;
  const int key_tiles = panel::tiles_for(a.keys);
  for (int i = 0; i < key_tiles; i++) {
    const int first = panel::first_row(a.keys, i, key_tiles),
              end = panel::first_row(a.keys, i + 1, key_tiles);
    t.a = a.k + first, t.init = a.bias + first * kWidth, t.out = logits + first * kWidth;
    panel::tile_of<panel::Tile::logits>(end - first)(t);
  }

  const V top0 = hn::Load(d, top), top1 = hn::Load(d, top + kL);
  V sum0 = hn::Zero(d), sum1 = sum0;
  for (int j = 0; j < a.keys; j++) {
    float* at = logits + j * kWidth;
    const V e0 = exp2_negative(hn::Sub(hn::Load(d, at), top0));
    const V e1 = exp2_negative(hn::Sub(hn::Load(d, at + kL), top1));
    hn::Store(e0, d, at), hn::Store(e1, d, at + kL);
    sum0 = hn::Add(sum0, e0), sum1 = hn::Add(sum1, e1);
  }
  hn::Store(hn::Div(hn::Set(d, 1), sum0), d, factor), hn::Store(hn::Div(hn::Set(d, 1), sum1), d, factor + kL);

  t.a_stride = a.v_row, t.k = a.keys, t.b = logits, t.b_row = kWidth, t.factor = factor;
  const int tiles = panel::tiles_for(a.d);
  for (int i = 0; i < tiles; i++) {
    const int first = panel::first_row(a.d, i, tiles), end = panel::first_row(a.d, i + 1, tiles);
    t.a = a.v + first * a.v_row, t.out = a.y + first * kWidth;
    panel::tile_of<panel::Tile::values>(end - first)(t);
  }
}

void make_bias(const BiasArgs& a) {
  const hn::CappedTag<float, 8> d8;
  const int lanes = int(hn::Lanes(d8));
  const int64_t table_w = a.window_w + a.keys_w - 1;
  const int end = a.queries < a.first + kWidth ? a.queries : a.first + kWidth;
  float* row = a.bias;
  if (a.window_w % kL == 0 && end - a.first == kWidth) {  // no vector of queries spans two rows of the window
    const D d;
    const int q0 = a.first, q1 = a.first + kL;
    const int64_t at0 = q0 / a.window_w * table_w + q0 % a.window_w;
    const int64_t at1 = q1 / a.window_w * table_w + q1 % a.window_w;
    for (int ky = 0; ky < a.keys_h; ky++) {
      const float* from = a.table + (a.keys_h - 1 - ky) * table_w + (a.keys_w - 1);
      for (int kx = 0; kx < a.keys_w; kx++, from--, row += kWidth) {
        hn::Store(hn::LoadU(d, from + at0), d, row);
        hn::Store(hn::LoadU(d, from + at1), d, row + kL);
      }
    }
    return;
  }
  for (int ky = 0; ky < a.keys_h; ky++)
    for (int kx = 0; kx < a.keys_w; kx++, row += kWidth) {
      const float* from = a.table + (a.keys_h - 1 - ky) * table_w + (a.keys_w - 1 - kx);
      float* to = row;
      // Runs of queries of one row of the window.
      for (int q = a.first, qx = q % a.window_w, qy = q / a.window_w; q < end; qx = 0, qy++) {
        const int run = end - q < a.window_w - qx ? end - q : a.window_w - qx;
        const float* at = from + qy * table_w + qx;
        int x = 0;
        for (; x + lanes <= run; x += lanes) hn::StoreU(hn::LoadU(d8, at + x), d8, to + x);
        for (; x < run; x++) to[x] = at[x];
        q += run, to += run;
      }
      for (; to < row + kWidth; to++) *to = 0;
    }
}

void add_mask(const MaskArgs& a) {
  const D d;
  const V mask = hn::Set(d, kMask);
  for (int v = 0; v < kWidth; v += kL) {
    const V side = hn::LoadU(d, a.query_side + v);
    for (int j = 0; j < a.keys; j++) {
      const V less = hn::IfThenZeroElse(hn::Eq(side, hn::Set(d, a.key_side[j])), mask);
      hn::Store(hn::Add(hn::Load(d, a.bias + j * kWidth + v), less), d, a.out + j * kWidth + v);
    }
  }
}

void scale_pixels(float* t, int64_t row, int channels, int n, bool unit, float scale) {
  const D d;
  for (int p = 0; p < n; p += kL) {
    V factor = hn::Set(d, scale);
    if (unit) {
      V sum = hn::Zero(d);
      for (int c = 0; c < channels; c++) {
        const V v = hn::Load(d, t + c * row + p);
        sum = hn::MulAdd(v, v, sum);
      }
      factor = hn::Div(factor, hn::Max(hn::Sqrt(sum), hn::Set(d, 1e-12f)));
    }
    for (int c = 0; c < channels; c++)
      hn::Store(hn::Mul(hn::Load(d, t + c * row + p), factor), d, t + c * row + p);
  }
}

void layer_norm(const LayerNormArgs& a, const float* x, int64_t x_px, const float* add, int64_t add_px,
                float* y, int64_t y_px, int n) {
  const D d;
  const int whole = a.c / kL * kL;
  const float inverse_c = 1.0f / float(a.c);
  for (int p = 0; p < n; p++, x += x_px, y += y_px, add += add ? add_px : 0) {
    V s0 = hn::Zero(d), s1 = hn::Zero(d);
    int c = 0;
    for (; c + 2 * kL <= whole; c += 2 * kL)
      s0 = hn::Add(s0, hn::LoadU(d, x + c)), s1 = hn::Add(s1, hn::LoadU(d, x + c + kL));
    for (; c < whole; c += kL) s0 = hn::Add(s0, hn::LoadU(d, x + c));
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
    for (; c < a.c; c++) sum += x[c];
    const float mean = sum * inverse_c;

    const V vmean = hn::Set(d, mean);
    s0 = hn::Zero(d);
    for (c = 0; c < whole; c += kL) {
      const V v = hn::Sub(hn::LoadU(d, x + c), vmean);
      s0 = hn::MulAdd(v, v, s0);
    }
    float squares = hn::GetLane(hn::SumOfLanes(d, s0));
    for (; c < a.c; c++) squares += (x[c] - mean) * (x[c] - mean);
    const float scale = 1 / hn::GetLane(hn::Sqrt(hn::Set(d, squares * inverse_c + a.eps)));

    const V vscale = hn::Set(d, scale);
    for (c = 0; c < whole; c += kL) {
      V v = hn::Mul(hn::Sub(hn::LoadU(d, x + c), vmean), vscale);
      v = hn::MulAdd(v, hn::LoadU(d, a.gamma + c), hn::LoadU(d, a.beta + c));
      if (add) v = hn::Add(v, hn::LoadU(d, add + c));
      hn::StoreU(v, d, y + c);
    }
    for (; c < a.c; c++) y[c] = (x[c] - mean) * scale * a.gamma[c] + a.beta[c] + (add ? add[c] : 0);
  }
}

}  // namespace

const AttentionKernels* attention_table() {
  static constexpr AttentionKernels table = {layer_norm, attend, make_bias, add_mask, scale_pixels};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(attention_table);
const AttentionKernels& attention_kernels() { return *HWY_DYNAMIC_DISPATCH(attention_table)(); }

}  // namespace ups::cpu
#endif
