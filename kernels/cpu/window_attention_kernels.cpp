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
// after it
#include <hwy/cache_control.h>

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
  float *q, *k, *v, *bias, *logits, *sums, *zeros;
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
  r.q = take(up(queries, kRows) * d + kL);
  r.k = take(int64_t(r.keys_pad) * up(d, 4));
  r.v = take(int64_t(keys) * r.d_pad);
  r.bias = take(int64_t(kRows) * r.keys_pad);
  r.logits = take(int64_t(kRows) * r.keys_pad);
  r.sums = take(int64_t(kRows) * 2 * kL);
  r.zeros = take(up(d, 4) + 2 * kL);
  if (room) *room = r;
  return at;
}

int64_t head_floats(int queries, int keys, int d) { return layout(queries, keys, d, nullptr, nullptr); }

// 1 / max(|v|, 1e-12).
float inverse_length(const float* v, int d) {
  const D f;
  V sum = hn::Zero(f);
  for (int c = 0; c < d; c += kL) {
    const V part = gemm::load_first(v + c, d - c);
    sum = hn::MulAdd(part, part, sum);
  }
  const float length = hn::GetLane(hn::Sqrt(hn::SumOfLanes(f, sum)));
  return 1 / (length > 1e-12f ? length : 1e-12f);
}

// Panels of k, [keys / 2 vectors][d][2 vectors]: 4 x 4 values at a time. Reads up to three channels behind
// the head's, where v's are, and writes as many rows too many.
#if HWY_TARGET == HWY_SCALAR
void transpose_keys(const HeadArgs& a, const Room& r) {
  const int width = 2 * kL;
  for (int j = 0; j < r.keys_pad; j++) {
    const bool inside = j < a.keys && a.key_at[j] >= 0;
    const float* key = inside ? a.x + a.key_at[j] + a.k_at : r.zeros;
    const float scale = a.cosine && inside ? inverse_length(key, a.d) : 1;
    float* to = r.k + int64_t(j / width) * a.d * width + j % width;
    for (int c = 0; c < a.d; c++) to[int64_t(c) * width] = key[c] * scale;
  }
}
#else
void transpose_keys(const HeadArgs& a, const Room& r) {
  const hn::Full128<float> d4;
  const hn::Repartition<double, decltype(d4)> d2;
  const int width = 2 * kL;
  for (int j = 0; j < r.keys_pad; j += 4) {
    const float* key[4];
    float scale[4] = {1, 1, 1, 1};
    for (int i = 0; i < 4; i++) {
      const bool inside = j + i < a.keys && a.key_at[j + i] >= 0;
      key[i] = inside ? a.x + a.key_at[j + i] + a.k_at : r.zeros;
      if (a.cosine && inside) scale[i] = inverse_length(key[i], a.d);
    }
    float* to = r.k + int64_t(j / width) * a.d * width + j % width;
    for (int c = 0; c < a.d; c += 4, to += 4 * width) {
      auto r0 = hn::LoadU(d4, key[0] + c), r1 = hn::LoadU(d4, key[1] + c);
      auto r2 = hn::LoadU(d4, key[2] + c), r3 = hn::LoadU(d4, key[3] + c);
      if (a.cosine) {
        r0 = hn::Mul(r0, hn::Set(d4, scale[0])), r1 = hn::Mul(r1, hn::Set(d4, scale[1]));
        r2 = hn::Mul(r2, hn::Set(d4, scale[2])), r3 = hn::Mul(r3, hn::Set(d4, scale[3]));
      }
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
      const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
      const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
      const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
      const int rows = a.d - c;
      hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, to);
      if (rows > 1) hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, to + width);
      if (rows > 2) hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, to + 2 * width);
      if (rows > 3) hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, to + 3 * width);
    }
  }
}

#endif

void gather(const HeadArgs& a, const Room& r) {
  const D d;
  for (int i = 0; i < int(up(a.d, 4)) + 2 * kL; i++) r.zeros[i] = 0;
  for (int i = 0; i < a.queries; i++) {
    const float* from = a.query_at[i] < 0 ? r.zeros : a.x + a.query_at[i];
    float* to = r.q + int64_t(i) * a.d;
    const V scale = hn::Set(d, a.cosine ? a.scale * inverse_length(from, a.d) : a.scale);
    for (int c = 0; c < a.d; c += kL)  // what is stored too much, the next row overwrites
      hn::StoreU(hn::Mul(gemm::load_first(from + c, a.d - c), scale), d, to + c);
  }
  transpose_keys(a, r);
  for (int c0 = 0; c0 < r.d_pad; c0 += 2 * kL) {
    const int columns = r.d_pad - c0 < 2 * kL ? r.d_pad - c0 : 2 * kL;
    float* to = r.v + int64_t(c0) * a.keys;
    for (int j = 0; j < a.keys; j++, to += columns) {
      const float* from = a.key_at[j] >= 0 ? a.x + a.key_at[j] + a.v_at + c0 : r.zeros;
      for (int c = 0; c < columns; c += kL) hn::Store(gemm::load_first(from + c, a.d - c0 - c), d, to + c);
    }
  }
}

// Bias and mask of query i; beyond the keys, what makes exp() vanish.
void bias_row(const HeadArgs& a, int i, float* HWY_RESTRICT to, int keys_pad) {
  const hn::CappedTag<float, 8> d8;
  const int lanes8 = int(hn::Lanes(d8));
  const int qy = i / a.window_w, qx = i % a.window_w;
  const float* bias = a.bias + int64_t(a.bias_top - qy) * a.bias_w + (a.window_w - 1 - qx);
  float* row = to;
  for (int ky = 0; ky < a.keys_h; ky++, row += a.keys_w, bias += a.bias_w) {
    int x = 0;
    for (; x + lanes8 <= a.keys_w; x += lanes8) hn::StoreU(hn::LoadU(d8, bias + x), d8, row + x);
    for (; x < a.keys_w; x++) row[x] = bias[x];
  }
  if (a.query_side)
    for (int j = 0; j < a.keys; j++) to[j] += a.query_side[i] == a.key_side[j] ? 0 : kMask;
  for (int j = a.keys; j < keys_pad; j++) to[j] = -1e30f;
}

// exp(x) for x <= 0, to 2 units in the last place; below -87 zero.
HWY_INLINE V exp_negative(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  V f = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);  // x - n ln 2, in two parts
  f = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), f);
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(hn::Mul(f, f), p, hn::Add(f, hn::Set(d, 1)));
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, -87.0f)), hn::Mul(p, hn::BitCast(d, power)));
}

// s -> exp(s + bias - largest); returns 1 / sum.
float softmax(float* HWY_RESTRICT s, const float* HWY_RESTRICT bias, int keys_pad) {
  const D d;
  V top0 = hn::Set(d, -1e30f), top1 = top0;
  for (int j = 0; j < keys_pad; j += 2 * kL) {
    top0 = hn::Max(top0, hn::Add(hn::Load(d, s + j), hn::Load(d, bias + j)));
    top1 = hn::Max(top1, hn::Add(hn::Load(d, s + j + kL), hn::Load(d, bias + j + kL)));
  }
  const V largest = hn::MaxOfLanes(d, hn::Max(top0, top1));
  V sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  for (int j = 0; j < keys_pad; j += 2 * kL) {
    const V e0 = exp_negative(hn::Sub(hn::Add(hn::Load(d, s + j), hn::Load(d, bias + j)), largest));
    const V e1 = exp_negative(hn::Sub(hn::Add(hn::Load(d, s + j + kL), hn::Load(d, bias + j + kL)), largest));
    hn::Store(e0, d, s + j), hn::Store(e1, d, s + j + kL);
    sum0 = hn::Add(sum0, e0), sum1 = hn::Add(sum1, e1);
  }
  return 1 / hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
}

void bias_rows(const HeadArgs& a, float* rows) {
  const int64_t keys_pad = up(a.keys, 2 * kL);
  for (int i = 0; i < a.queries; i++) bias_row(a, i, rows + i * keys_pad, int(keys_pad));
}

int64_t bias_row_floats(int keys) { return up(keys, 2 * kL); }

// Asks for q, k and v of this head in pixels [begin, end) of the next window.
void fetch_ahead(const HeadArgs& a, int begin, int end) {
  for (int i = begin; i < end && i < a.keys; i++) {
    if (a.next_at[i] < 0) continue;
    for (int c = 0; c < a.d; c += 16)
      for (int64_t part : {int64_t(0), a.k_at, a.v_at}) hwy::Prefetch(a.x + a.next_at[i] + part + c);
  }
}

void head(const HeadArgs& a) {
  const D d;
  Room r;
  layout(a.queries, a.keys, a.d, a.memory, &r);
  gather(a, r);
  float inverse[kRows];
  for (int i = 0; i < a.queries;) {
    const int rows = gemm::rows_for(a.queries - i), n = a.queries - i < rows ? a.queries - i : rows;
    if (a.next_at) fetch_ahead(a, i, i + n);
    const bool made = a.bias_rows && !a.query_side;
    const float* bias = made ? a.bias_rows + int64_t(i) * r.keys_pad : r.bias;
    for (int p = 0; p < n && !made; p++) bias_row(a, i + p, r.bias + int64_t(p) * r.keys_pad, r.keys_pad);
    const gemm::Tile qk = gemm::tile_for(rows, 2);
    for (int j = 0; j < r.keys_pad; j += 2 * kL)
      qk(r.q + int64_t(i) * a.d, a.d, a.d, r.k + int64_t(j) * a.d, r.logits + j, r.keys_pad);
    for (int p = 0; p < n; p++)
      inverse[p] = softmax(r.logits + int64_t(p) * r.keys_pad, bias + int64_t(p) * r.keys_pad, r.keys_pad);
    for (int c = 0; c < r.d_pad; c += 2 * kL) {
      const int vectors = r.d_pad - c > kL ? 2 : 1, columns = vectors * kL;
      gemm::tile_for(rows, vectors)(r.logits, r.keys_pad, a.keys, r.v + int64_t(c) * a.keys, r.sums, columns);
      for (int p = 0; p < n; p++) {
        if (a.y_at[i + p] < 0) continue;
        float* y = a.y + a.y_at[i + p] + c;
        const V scale = hn::Set(d, inverse[p]);
        for (int x = 0; x < columns && c + x < a.d; x += kL)
          gemm::store_first(hn::Mul(hn::Load(d, r.sums + p * columns + x), scale), y + x, a.d - c - x);
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
  static constexpr AttentionKernels table = {kL, layer_norm, head, bias_rows, bias_row_floats, head_floats};
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
