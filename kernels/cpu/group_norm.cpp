// GroupStats, also of what a convolution makes, and GroupNorm.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/group_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/group_norm.h"
#include "kernels/cpu/statistics-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

void take_chunk_row(const Tensor& x, const ChunkSums& sums, int y, int row_end) {
  const float* image = static_cast<const float*>(x.data);
  for (int i = 0; i < x.w; i += kChunkColumns)
    take_chunk(sums, image, x.row, x.px, y, i, row_end, x.w, 0, x.c);
}

void add_chunks(const ChunkSums& sums, int y, int h, int w, double* sum, double* square) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  for (int i = 0; i < sums.c; i += kLanes / 2) {
    auto s = hn::Zero(d), q = hn::Zero(d);
    for (int x = 0; x < w; x += kChunkColumns) {
      const float* chunk = sums.of(y, x, i);
      const auto part = [&](int k) { return hn::PromoteTo(d, hn::LoadU(narrow, chunk + k * sums.c)); };
      const auto n = hn::Set(d, h * (w - x < kChunkColumns ? w - x : kChunkColumns));
      const auto whole = hn::MulAdd(n, part(0), part(1));  // sum of v = n p + sum of (v - p)
      s = hn::Add(s, whole);
      // sum of v^2 = sum of (v - p)^2 + p (sum of (v - p) + sum of v)
      q = hn::Add(q, hn::MulAdd(part(0), hn::Add(part(1), whole), part(2)));
    }
    hn::StoreU(s, d, sum + i), hn::StoreU(q, d, square + i);
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
  static constexpr GroupNormKernels table = {take_chunk_row, add_chunks, normalize_row};
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

// Rows of the image among `rows`.
Rows rows_of(const GroupStats<Tensor>& op, Rows rows) {
  return {std::max(rows.begin, 0), std::min(rows.end, op.x.h)};
}

int chunk_rows(Rows rows) { return ceil_div(rows.end - rows.begin, kChunkRows); }

int64_t lines(int64_t floats) { return (floats + 15) / 16 * 16; }

// Behind the chunks: the sums of each row of chunks by group, then by channel, for each thread; in double.
struct Room {
  int64_t chunks, row, thread;  // floats

  Room(const GroupStats<Tensor>& op, Rows rows)
      : chunks(3 * int64_t(chunk_rows(rows)) * ceil_div(op.x.w, kChunkColumns) * round_up(op.x.c, 16)),
        row(lines(4 * int64_t(op.groups))),
        thread(4 * int64_t(round_up(op.x.c, 16))) {}
};

}  // namespace

int64_t statistics_floats(const GroupStats<Tensor>& op, Rows rows, int threads) {
  rows = rows_of(op, rows);
  const Room room(op, rows);
  return room.chunks + chunk_rows(rows) * room.row + threads * room.thread;
}

ChunkSums chunk_sums(const GroupStats<Tensor>& op, Rows rows, float* room) {
  return {room, rows_of(op, rows).begin / kChunkRows, ceil_div(op.x.w, kChunkColumns), round_up(op.x.c, 16)};
}

void add_statistics(const GroupStats<Tensor>& op, Rows rows, const ChunkSums& sums, Context& context) {
  rows = rows_of(op, rows);
  const Room room(op, rows);
  const GroupNormKernels& kernels = *HWY_DYNAMIC_DISPATCH(group_norm_table)();
  const int size = op.x.c / op.groups, count = chunk_rows(rows);
  float* by_row = sums.at + room.chunks;
  float* by_thread = by_row + count * room.row;
  const auto row_sums = [&](int i) { return reinterpret_cast<double*>(by_row + i * room.row); };
  context.pool.for_each(count, [&](int i, int thread) {
    double* sum = reinterpret_cast<double*>(by_thread + thread * room.thread);
    double* square = sum + sums.c;
    const int y = rows.begin + i * kChunkRows;
    kernels.add_chunks(sums, y, std::min(kChunkRows, rows.end - y), op.x.w, sum, square);
    for (int g = 0; g < op.groups; g++) {
      double s = 0, q = 0;
      for (int k = g * size; k < (g + 1) * size; k++) s += sum[k], q += square[k];
      row_sums(i)[2 * g] = s, row_sums(i)[2 * g + 1] = q;
    }
  });
  double* stats = static_cast<double*>(op.y.data);
  if (rows.begin == 0) std::fill(stats, stats + 2 * op.groups, 0.0);
  for (int i = 0; i < count; i++)
    for (int g = 0; g < 2 * op.groups; g++) stats[g] += row_sums(i)[g];
}

void check_group_stats(const GroupStats<Tensor>& op, Rows rows) {
  check_group_norm(op.x, op.y, op.groups);
  check(rows.begin % kChunkRows == 0 && (rows.end >= op.x.h || rows.end % kChunkRows == 0), Code::device,
        "group_stats: got rows ", rows.begin, " to ", rows.end, " of ", op.x.h, ", expected multiples of ",
        kChunkRows);
}

void run(const GroupStats<Tensor>& op, Context& context, Rows rows) {
  check_group_stats(op, rows);
  isa_ready();
  rows = rows_of(op, rows);
  if (rows.begin >= rows.end) return;
  const GroupNormKernels& kernels = *HWY_DYNAMIC_DISPATCH(group_norm_table)();
  const int threads = context.pool.threads();
  const ChunkSums sums = chunk_sums(
      op, rows,
      static_cast<float*>(context.scratch.get(statistics_floats(op, rows, threads) * sizeof(float))));
  context.pool.for_each(chunk_rows(rows), [&](int i, int) {
    const FlushDenormals flush;  // as convolutions do
    kernels.take_chunk_row(op.x, sums, rows.begin + i * kChunkRows, rows.end);
  });
  add_statistics(op, rows, sums, context);
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
