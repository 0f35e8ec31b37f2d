// Attention with a streaming softmax (Milakov and Gimelshein 2018; Dao et al. 2022): a block of queries walks
// over blocks of keys with a running maximum, sum and weighted values; the scores exist one block at a time.
//
// Both products are the same micro-kernel: rows of queries times two vectors of keys (of value channels),
// broadcasting from the rows. Each query's arithmetic is its own: results depend on neither threads nor
// strips.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pixel_attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/pixel_attention.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kRowsAtOnce = 12;
#else
constexpr int kRowsAtOnce = 6;
#endif
static_assert(kPixelQueries % 12 == 0);

constexpr int kPair = 2 * kLanes;

// out[p][2 vectors] (+)= sum over i of a[p][i] * panel[i][2 vectors].
template <bool Accumulate>
HWY_NOINLINE void multiply_panel(const float* a, int64_t a_row, const float* HWY_RESTRICT panel, int depth,
                                 float* HWY_RESTRICT out, int64_t out_row) {
  const D d;
  constexpr int P = kRowsAtOnce;
  V acc[P][2];
  for (int p = 0; p < P; p++)
    for (int n = 0; n < 2; n++)
      acc[p][n] = Accumulate ? hn::LoadU(d, out + p * out_row + n * kLanes) : hn::Zero(d);
  const float* rows[(P + 3) / 4];
  for (int r = 0; r < (P + 3) / 4; r++) rows[r] = a + 4 * r * a_row;
  for (int i = 0; i < depth; i++, panel += kPair) {
    const V w0 = hn::LoadU(d, panel), w1 = hn::LoadU(d, panel + kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      const V b = hn::Set(d, rows[p / 4][p % 4 * a_row + i]);
      acc[p][0] = hn::MulAdd(b, w0, acc[p][0]);
      acc[p][1] = hn::MulAdd(b, w1, acc[p][1]);
    }
  }
  for (int p = 0; p < P; p++)
    for (int n = 0; n < 2; n++) hn::StoreU(acc[p][n], d, out + p * out_row + n * kLanes);
}

// Scores of one query become weights; its output so far is brought to the new maximum.
HWY_INLINE void soften_scores(float* s, int keys, float* out, int out_c, float& highest, float& total) {
  const D d;
  V most = hn::Set(d, highest);
  int i = 0;
  for (; i + kLanes <= keys; i += kLanes) most = hn::Max(most, hn::LoadU(d, s + i));
  float top = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < keys; i++) top = s[i] > top ? s[i] : top;
  const V shift = hn::Set(d, top);
  for (int j = keys; j < kPixelKeys; j++) s[j] = -1e30f;  // weigh nothing
  V sum = hn::Zero(d);
  for (int j = 0; j < kPixelKeys; j += kLanes) {
    const V e = hn::Exp(d, hn::Max(hn::Sub(hn::LoadU(d, s + j), shift), hn::Set(d, -100)));
    const V p = hn::IfThenElse(hn::Lt(hn::LoadU(d, s + j), hn::Set(d, -9e29f)), hn::Zero(d), e);
    hn::StoreU(p, d, s + j);
    sum = hn::Add(sum, p);
  }
  const float added = hn::GetLane(hn::SumOfLanes(d, sum));
  if (top != highest) {
    const V by = hn::Exp(d, hn::Max(hn::Set(d, highest - top), hn::Set(d, -100)));
    for (int j = 0; j < out_c; j += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, out + j), by), d, out + j);
    total *= hn::GetLane(by);
    highest = top;
  }
  total += added;
}

void pixel_attention_queries(const PixelAttentionArgs& a, int first, int count, float* room) {
  const D d;
  const int out_c = round_up(a.dv, kPair), rows = round_up(count, kRowsAtOnce);
  const int64_t q_row = a.d + 16;  // rows a power of two apart would share cache sets
  float* q = room;
  float* out = q + kPixelQueries * q_row;
  float* s = out + int64_t(kPixelQueries) * out_c;
  float* k_panel = s + int64_t(kPixelQueries) * kPixelKeys;
  float* v_panel = k_panel + int64_t(kPixelKeys) * a.d;
  float* highest = v_panel + int64_t(kPixelKeys) * out_c;
  float* total = highest + kPixelQueries;

  for (int i = 0; i < rows; i++) {
    const float* from = a.q + (first + (i < count ? i : 0)) * a.q_px;
    for (int c = 0; c < a.d; c++) q[i * q_row + c] = from[c] * a.scale;
    highest[i] = -1e30f, total[i] = 0;
  }
  for (int64_t i = 0; i < int64_t(rows) * out_c; i++) out[i] = 0;

  for (int key = 0; key < a.tokens; key += kPixelKeys) {
    const int keys = a.tokens - key < kPixelKeys ? a.tokens - key : kPixelKeys;
    // K as [two vectors of keys][d][keys], V as [two vectors of channels][keys][channels], zero-padded.
    for (int j = 0; j < kPixelKeys; j++) {
      float* to = k_panel + int64_t(j / kPair) * a.d * kPair + j % kPair;
      const float* from = a.k + (key + j) * a.k_px;
      if (j < keys)
        for (int c = 0; c < a.d; c++) to[int64_t(c) * kPair] = from[c];
      else
        for (int c = 0; c < a.d; c++) to[int64_t(c) * kPair] = 0;
    }
    for (int c = 0; c < out_c; c += kPair) {
      const int n = a.dv - c < kPair ? a.dv - c : kPair;
      float* to = v_panel + int64_t(c) * kPixelKeys;
      for (int j = 0; j < kPixelKeys; j++, to += kPair) {
        if (j < keys) copy_floats(a.v + (key + j) * a.v_px + c, to, n);
        for (int i = j < keys ? n : 0; i < kPair; i++) to[i] = 0;
      }
    }
    for (int i = 0; i < rows; i += kRowsAtOnce)
      for (int j = 0; j < kPixelKeys; j += kPair)
        multiply_panel<false>(q + i * q_row, q_row, k_panel + int64_t(j) * a.d, a.d, s + i * kPixelKeys + j,
                              kPixelKeys);
    for (int i = 0; i < count; i++)
      soften_scores(s + i * kPixelKeys, keys, out + int64_t(i) * out_c, out_c, highest[i], total[i]);
    for (int c = 0; c < out_c; c += kPair)
      for (int i = 0; i < rows; i += kRowsAtOnce)
        multiply_panel<true>(s + i * kPixelKeys, kPixelKeys, v_panel + int64_t(c) * kPixelKeys, kPixelKeys,
                             out + int64_t(i) * out_c + c, out_c);
  }
  for (int i = 0; i < count; i++) {
    const V by = hn::Set(d, 1 / total[i]);
    float* row = out + int64_t(i) * out_c;
    for (int c = 0; c < out_c; c += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, row + c), by), d, row + c);
    copy_floats(row, a.y + (first + i) * a.y_px, a.dv);
  }
}

const PixelAttentionKernels* pixel_attention_table() {
  static constexpr PixelAttentionKernels table = {kLanes, pixel_attention_queries};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {

HWY_EXPORT(pixel_attention_table);

void run(const Attention<Tensor>& op, Context& context, Rows rows) {
  for (const Tensor* t : {&op.x, &op.k, &op.v, &op.y})
    check(t->data && t->dtype == DType::f32 && t->n == 1 && t->extent() == op.x.extent() &&
              t->row == t->w * t->px,
          Code::device, "attention: an operand is [", t->n, ", ", t->h, ", ", t->w, ", ", t->c,
          "], expected one f32 image of q's extent without gaps between rows");
  check(op.x.c == op.k.c && op.v.c == op.y.c && op.x.c >= 1 && op.v.c >= 1 &&
            int64_t(op.x.h) * op.x.w < (1 << 30),
        Code::device, "attention: got q ", op.x.c, ", k ", op.k.c, ", v ", op.v.c, ", y ", op.y.c,
        " channels, expected q as k and v as y");
  isa_ready();
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, op.y.h);
  if (begin >= end) return;
  const PixelAttentionKernels& kernels = *HWY_DYNAMIC_DISPATCH(pixel_attention_table)();
  PixelAttentionArgs a;
  a.q = op.x.at(0, 0), a.k = op.k.at(0, 0), a.v = op.v.at(0, 0), a.y = op.y.at(0, 0);
  a.q_px = op.x.px, a.k_px = op.k.px, a.v_px = op.v.px, a.y_px = op.y.px;
  a.tokens = op.x.h * op.x.w, a.d = op.x.c, a.dv = op.v.c, a.scale = op.scale;
  const int64_t room = (pixel_attention_room(a.d, a.dv, kernels.lanes) + 15) / 16 * 16;
  float* memory =
      static_cast<float*>(context.scratch.get(size_t(room) * context.pool.threads() * sizeof(float)));
  const int first = begin * op.x.w, queries = (end - begin) * op.x.w;
  // Equal shares, as many for each thread.
  const int threads = context.pool.threads();
  const int items =
      (std::max((queries + kPixelQueries - 1) / kPixelQueries, 1) + threads - 1) / threads * threads;
  context.pool.for_each(std::min(items, queries), [&](int item, int thread) {
    const FlushDenormals flush;
    const int n = std::min(items, queries);
    const int from = int(int64_t(queries) * item / n), to = int(int64_t(queries) * (item + 1) / n);
    kernels.queries(a, first + from, to - from, memory + thread * room);
  });
}

}  // namespace ups::cpu
#endif
