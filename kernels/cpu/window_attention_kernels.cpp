// One head of one window, and layer normalisation of a run of pixels, per ISA.
//
// A head: q is gathered (scaled), k transposed to panels of two vectors of keys, v to panels of two vectors
// of channels. A few queries at a time: logits by register tiles, bias and mask added, softmax, times v. For
// the windows in use (64 or 256 keys of 30 channels) everything a head touches stays in L1 or L2.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/window_attention_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/gemm-inl.h"
#include "kernels/cpu/window_attention.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using gemm::D;
using gemm::kL;
using gemm::kRows;
using gemm::V;

constexpr float kMask = -100;

constexpr int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

struct Room {
  int keys_pad, d_pad;
  float *q, *k, *v, *logits, *sums;
};

// Floats of each part, in order; the q rows of the last register tile may lie beyond the queries.
int64_t layout(int queries, int keys, int d, float* memory, Room* room) {
  Room r;
  r.keys_pad = int(up(keys, 2 * kL));
  r.d_pad = int(up(d, kL));
  int64_t at = 0;
  const auto take = [&](int64_t floats) {
    float* p = memory ? memory + at : nullptr;
    at += up(floats, 16);
    return p;
  };
  r.q = take(up(queries, kRows) * d);
  r.k = take(int64_t(r.keys_pad) * d);
  r.v = take(int64_t(keys) * r.d_pad);
  r.logits = take(int64_t(kRows) * r.keys_pad);
  r.sums = take(int64_t(kRows) * 2 * kL);
  if (room) *room = r;
  return at;
}

int64_t head_floats(int queries, int keys, int d) { return layout(queries, keys, d, nullptr, nullptr); }

// 1 / |v|, as x / max(|x|, 1e-12).
float inverse_length(const float* v, int d) {
  float sum = 0;
  for (int c = 0; c < d; c++) sum += v[c] * v[c];
  const float length = hn::GetLane(hn::Sqrt(hn::Set(D(), sum)));
  return 1 / (length > 1e-12f ? length : 1e-12f);
}

void gather(const HeadArgs& a, const Room& r) {
  for (int i = 0; i < a.queries; i++) {
    const float* from = a.x + a.query_at[i];
    float* to = r.q + int64_t(i) * a.d;
    if (a.query_at[i] < 0) {  // its result is not wanted
      for (int c = 0; c < a.d; c++) to[c] = 0;
      continue;
    }
    const float scale = a.cosine ? a.scale * inverse_length(from, a.d) : a.scale;
    for (int c = 0; c < a.d; c++) to[c] = from[c] * scale;
  }
  const int width = 2 * kL;
  for (int j = 0; j < r.keys_pad; j++) {
    float* to = r.k + int64_t(j / width) * a.d * width + j % width;
    const int64_t at = j < a.keys ? a.key_at[j] : -1;
    if (at < 0) {
      for (int c = 0; c < a.d; c++) to[int64_t(c) * width] = 0;
      continue;
    }
    const float* from = a.x + at + a.k_at;
    if (a.cosine) {
      const float scale = inverse_length(from, a.d);
      for (int c = 0; c < a.d; c++) to[int64_t(c) * width] = from[c] * scale;
    } else {
      for (int c = 0; c < a.d; c++) to[int64_t(c) * width] = from[c];
    }
  }
  for (int c0 = 0; c0 < r.d_pad; c0 += width) {
    const int columns = r.d_pad - c0 < width ? r.d_pad - c0 : width;
    const int used = a.d - c0 < columns ? a.d - c0 : columns;
    float* to = r.v + int64_t(c0) * a.keys;
    for (int j = 0; j < a.keys; j++, to += columns) {
      const bool inside = a.key_at[j] >= 0;
      const float* from = a.x + (inside ? a.key_at[j] + a.v_at + c0 : 0);
      for (int c = 0; c < used; c++) to[c] = inside ? from[c] : 0;
      for (int c = used; c < columns; c++) to[c] = 0;
    }
  }
}

// Adds bias and mask to the logits of query i and turns them into exp(logit - largest); returns 1 / sum.
float softmax(const HeadArgs& a, int i, float* HWY_RESTRICT s, int keys_pad) {
  const D d;
  const hn::CappedTag<float, 8> d8;
  const int lanes8 = int(hn::Lanes(d8));
  const int qy = i / a.window_w, qx = i % a.window_w;
  const float* bias = a.bias + int64_t(a.bias_top - qy) * a.bias_w + (a.window_w - 1 - qx);
  float* row = s;
  for (int ky = 0; ky < a.keys_h; ky++, row += a.keys_w, bias += a.bias_w) {
    int x = 0;
    for (; x + lanes8 <= a.keys_w; x += lanes8)
      hn::StoreU(hn::Add(hn::LoadU(d8, row + x), hn::LoadU(d8, bias + x)), d8, row + x);
    for (; x < a.keys_w; x++) row[x] += bias[x];
  }
  if (a.query_side)
    for (int j = 0; j < a.keys; j++) s[j] += a.query_side[i] == a.key_side[j] ? 0 : kMask;
  for (int j = a.keys; j < keys_pad; j++) s[j] = -1e30f;
  V largest = hn::Load(d, s);
  for (int j = kL; j < keys_pad; j += kL) largest = hn::Max(largest, hn::Load(d, s + j));
  largest = hn::MaxOfLanes(d, largest);
  V sum = hn::Zero(d);
  for (int j = 0; j < keys_pad; j += kL) {
    const V e = hn::Exp(d, hn::Sub(hn::Load(d, s + j), largest));
    hn::Store(e, d, s + j);
    sum = hn::Add(sum, e);
  }
  return 1 / hn::GetLane(hn::SumOfLanes(d, sum));
}

void head(const HeadArgs& a) {
  Room r;
  layout(a.queries, a.keys, a.d, a.memory, &r);
  gather(a, r);
  float inverse[kRows];
  for (int i = 0; i < a.queries;) {
    const int rows = gemm::rows_for(a.queries - i), n = a.queries - i < rows ? a.queries - i : rows;
    const gemm::Tile qk = gemm::tile_for(rows, 2);
    for (int j = 0; j < r.keys_pad; j += 2 * kL)
      qk(r.q + int64_t(i) * a.d, a.d, a.d, r.k + int64_t(j) * a.d, r.logits + j, r.keys_pad);
    for (int p = 0; p < n; p++)
      inverse[p] = softmax(a, i + p, r.logits + int64_t(p) * r.keys_pad, r.keys_pad);
    for (int c = 0; c < r.d_pad; c += 2 * kL) {
      const int vectors = r.d_pad - c > kL ? 2 : 1, columns = vectors * kL;
      gemm::tile_for(rows, vectors)(r.logits, r.keys_pad, a.keys, r.v + int64_t(c) * a.keys, r.sums, columns);
      const int used = a.d - c < columns ? a.d - c : columns;
      for (int p = 0; p < n; p++) {
        if (a.y_at[i + p] < 0) continue;
        float* y = a.y + a.y_at[i + p] + c;
        for (int x = 0; x < used; x++) y[x] = r.sums[p * columns + x] * inverse[p];
      }
    }
    i += n;
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
  static constexpr AttentionKernels table = {kL, layer_norm, head, head_floats};
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
