// GroupStats and GroupNorm. Sums run in double over single channels and pixels in order, so they depend on
// neither vector width, threads nor strips.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/group_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/group_norm.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

using DD = hn::ScalableTag<double>;
using VD = hn::Vec<DD>;
constexpr int kDoubles = kLanes / 2;

// Sums of N vectors of channels over the pixels of a row.
template <int N>
HWY_INLINE void channel_sums(const float* x, int64_t px, int w, double* sum, double* square) {
  const DD d;
  const hn::Rebind<float, DD> narrow;
  VD s[N], q[N];
  for (int n = 0; n < N; n++) s[n] = q[n] = hn::Zero(d);
  for (int i = 0; i < w; i++, x += px)
    for (int n = 0; n < N; n++) {
      const VD v = hn::PromoteTo(d, hn::LoadU(narrow, x + n * kDoubles));
      s[n] = hn::Add(s[n], v);
      q[n] = hn::MulAdd(v, v, q[n]);  // the product is exact
    }
  for (int n = 0; n < N; n++)
    hn::StoreU(s[n], d, sum + n * kDoubles), hn::StoreU(q[n], d, square + n * kDoubles);
}

void row_sums(const float* x, int64_t px, int w, int c, double* sum, double* square) {
  int i = 0;
  for (; i + 4 * kDoubles <= c; i += 4 * kDoubles) channel_sums<4>(x + i, px, w, sum + i, square + i);
  for (; i + kDoubles <= c; i += kDoubles) channel_sums<1>(x + i, px, w, sum + i, square + i);
  for (; i < c; i++) {
    double s = 0, q = 0;
    for (int p = 0; p < w; p++) {
      const double v = x[p * px + i];
      s += v, q += v * v;
    }
    sum[i] = s, square[i] = q;
  }
}

template <Act A>
HWY_INLINE void normalize_act(const NormalizeArgs& a) {
  const D d;
  for (int p = 0; p < a.w; p++) {
    const float* x = a.x + p * a.x_px;
    float* y = a.y + p * a.y_px;
    int i = 0;
    for (; i + kLanes <= a.c; i += kLanes) {
      const V v = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, a.scale + i), hn::LoadU(d, a.shift + i));
      hn::StoreU(activate<A>(d, v, hn::Zero(d)), d, y + i);
    }
    if (i == a.c) continue;
    HWY_ALIGN float tail[kLanes] = {};
    for (int j = i; j < a.c; j++) tail[j - i] = x[j];
    // scale and shift have whole vectors of room
    const V v = hn::MulAdd(hn::Load(d, tail), hn::LoadU(d, a.scale + i), hn::LoadU(d, a.shift + i));
    hn::Store(activate<A>(d, v, hn::Zero(d)), d, tail);
    for (int j = i; j < a.c; j++) y[j] = tail[j - i];
  }
}

void normalize_row(const NormalizeArgs& a) {
  if (a.act == Act::silu)
    normalize_act<Act::silu>(a);
  else if (a.act == Act::relu)
    normalize_act<Act::relu>(a);
  else
    normalize_act<Act::none>(a);
}

const GroupNormKernels* group_norm_table() {
  static constexpr GroupNormKernels table = {row_sums, normalize_row};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <cmath>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {

HWY_EXPORT(group_norm_table);
namespace {

void check_group_norm(const Tensor& x, const Tensor& stats, int groups) {
  check(x.data && x.dtype == DType::f32 && x.n == 1 && x.h >= 1 && x.w >= 1, Code::device,
        "group_norm: x is [", x.n, ", ", x.h, ", ", x.w, ", ", x.c, "], expected one f32 image");
  check(groups >= 1 && x.c % groups == 0 && stats.data && stats.dtype == DType::f32 && stats.c == 4 * groups,
        Code::device, "group_norm: got ", x.c, " channels in ", groups, " groups and statistics of ", stats.c,
        " elements, expected a multiple of the groups and 4 elements for each");
}

}  // namespace

void run(const GroupStats<Tensor>& op, Context& context, Rows rows) {
  check_group_norm(op.x, op.y, op.groups);
  isa_ready();
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, op.x.h);
  double* stats = static_cast<double*>(op.y.data);
  if (begin == 0) std::fill(stats, stats + 2 * op.groups, 0.0);
  if (begin >= end) return;
  const GroupNormKernels& kernels = *HWY_DYNAMIC_DISPATCH(group_norm_table)();
  const int c = op.x.c, size = c / op.groups, groups = op.groups;
  const size_t row_room = size_t(2) * groups, thread_room = (size_t(2) * c + 7) / 8 * 8;
  double* memory = static_cast<double*>(context.scratch.get(
      (size_t(end - begin) * row_room + 8 + thread_room * context.pool.threads()) * sizeof(double)));
  double* rooms = memory + (size_t(end - begin) * row_room + 7) / 8 * 8;
  context.pool.for_each(end - begin, [&](int i, int thread) {
    double *sum = rooms + thread * thread_room, *square = sum + c, *out = memory + size_t(i) * row_room;
    kernels.row_sums(op.x.at(begin + i, 0), op.x.px, op.x.w, c, sum, square);
    for (int g = 0; g < groups; g++) {
      double s = 0, q = 0;
      for (int k = g * size; k < (g + 1) * size; k++) s += sum[k], q += square[k];
      out[2 * g] = s, out[2 * g + 1] = q;
    }
  });
  for (int i = 0; i < end - begin; i++)
    for (int g = 0; g < 2 * groups; g++) stats[g] += memory[size_t(i) * row_room + g];
}

void run(const GroupNorm<Tensor>& op, Context& context, Rows rows) {
  check_group_norm(op.x, op.stats, op.groups);
  check(op.y.data && op.y.dtype == DType::f32 && op.y.extent() == op.x.extent() && op.y.c == op.x.c,
        Code::device, "group_norm: y is [", op.y.h, ", ", op.y.w, ", ", op.y.c, "], expected the size of x");
  check(op.w.w && op.w.bias && op.w.cout == op.x.c &&
            (op.act == Act::none || op.act == Act::relu || op.act == Act::silu),
        Code::device, "group_norm: expected gamma and beta of x's channels and act none, relu or silu");
  isa_ready();
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, op.y.h);
  if (begin >= end) return;
  const GroupNormKernels& kernels = *HWY_DYNAMIC_DISPATCH(group_norm_table)();
  const int c = op.x.c, size = c / op.groups, padded = (c + 63) / 64 * 64;
  float* scale = static_cast<float*>(context.scratch.get(2 * size_t(padded) * sizeof(float)));
  float* shift = scale + padded;
  std::fill(scale, scale + 2 * padded, 0.0f);
  const double* stats = static_cast<const double*>(op.stats.data);
  const float* gamma = static_cast<const float*>(op.w.w);
  const double n = double(op.x.h) * op.x.w * size;
  for (int i = 0; i < c; i++) {
    const double mean = stats[2 * (i / size)] / n;
    const double variance = std::max(0.0, stats[2 * (i / size) + 1] / n - mean * mean);
    const double by = gamma[i] / std::sqrt(variance + double(op.eps));
    scale[i] = float(by), shift[i] = float(op.w.bias[i] - mean * by);
  }
  context.pool.for_each(end - begin, [&](int i, int) {
    const FlushDenormals flush;
    kernels.normalize_row(
        {op.x.at(begin + i, 0), op.x.px, op.y.at(begin + i, 0), op.y.px, op.x.w, c, scale, shift, op.act});
  });
}

}  // namespace ups::cpu
#endif
