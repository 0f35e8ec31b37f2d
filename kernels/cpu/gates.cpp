// run() of the operators of kernels/gate_ops.h: checks, statistics, rows to threads.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/conv2d_args.h"
#include "kernels/cpu/denormals.h"
#include "kernels/cpu/gate_rows.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

// Operands of one extent; c: the channels wanted.
void check_operand(const char* who, const Tensor& t, const Tensor& y, int c) {
  check(t.data && t.dtype == DType::f32, Code::device, who, ": expected f32 operands");
  check(t.n == y.n && t.h == y.h && t.w == y.w && t.c == c, Code::device, who, ": an operand is [", t.n, ", ",
        t.h, ", ", t.w, ", ", t.c, "], expected [", y.n, ", ", y.h, ", ", y.w, ", ", c, "]");
}

// Calls row(image, y) for each image and each row of the range that y has.
template <class Row>
void each_row(const Tensor& y, Context& context, Rows rows, Row&& row) {
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, y.h);
  if (begin >= end) return;
  for (int image = 0; image < y.n; image++)
    context.pool.for_each(end - begin, [&](int i, int) {
      const FlushDenormals flush;
      row(image, begin + i);
    });
}

PixelRow row_of(const Tensor& t, int image, int y, float scale = 1) {
  if (!t.data) return {};
  return {t.at(y, 0) + image * t.image, t.px, scale};
}

double activate(Act act, double v) {
  switch (act) {
    case Act::relu:
      return v < 0 ? 0 : v;
    case Act::gelu:
      return 0.5 * v * std::erfc(-v * std::sqrt(0.5));
    case Act::silu:
      return v / (1 + std::exp(-v));
    default:
      return v;
  }
}

// s[c] = scale * sigmoid(w2 act(w1 mean + b1) + b2), in double: a few thousand terms.
void excite(const ChannelAttention<Tensor>& op, const double* mean, double* hidden, float* s) {
  const int c = op.w1.cin, r = op.w1.cout;
  const float *w1 = static_cast<const float*>(op.w1.w), *w2 = static_cast<const float*>(op.w2.w);
  for (int j = 0; j < r; j++) {
    double sum = op.w1.bias ? op.w1.bias[j] : 0;
    for (int i = 0; i < c; i++) sum += mean[i] * *w1++;
    hidden[j] = activate(op.act, sum);
  }
  for (int i = 0; i < c; i++) {
    double sum = op.w2.bias ? op.w2.bias[i] : 0;
    for (int j = 0; j < r; j++) sum += hidden[j] * *w2++;
    s[i] = float(op.scale / (1 + std::exp(-sum)));
  }
}

}  // namespace

void run(const Affine<Tensor>& op, Context& context, Rows rows) {
  check_operand("affine", op.x, op.y, op.y.c);
  check(op.y.c <= 4, Code::device, "affine: got ", op.y.c, " channels, expected at most 4");
  each_row(op.y, context, rows, [&](int image, int y) {
    const PixelRow x = row_of(op.x, image, y);
    float* to = op.y.at(y, 0) + image * op.y.image;
    for (int i = 0; i < op.y.w; i++, to += op.y.px)
      for (int c = 0; c < op.y.c; c++) to[c] = x.data[i * x.px + c] * op.scale[c] + op.shift[c];
  });
}

void run(const Gate<Tensor>& op, Context& context, Rows rows) {
  const int c = op.y.c;
  check_operand("gate", op.x, op.y, c);
  check_operand("gate", op.g, op.y, op.g.c == 1 ? 1 : c);
  if (op.add.t.data) check_operand("gate", op.add.t, op.y, c);
  const GateRows& kernels = gate_rows();
  each_row(op.y, context, rows, [&](int image, int y) {
    const GateRow row{row_of(op.x, image, y),
                      row_of(op.g, image, y),
                      row_of(op.add.t, image, y, op.add.scale),
                      op.g.c == 1,
                      op.sigmoid,
                      op.mix,
                      op.shift};
    kernels.gate(row, op.y.w, c, op.y.at(y, 0) + image * op.y.image, op.y.px);
  });
}

void run(const ChannelAttention<Tensor>& op, Context& context, Rows rows) {
  const int c = op.y.c, r = op.w1.cout;
  const Tensor& pool = op.pool.data ? op.pool : op.x;
  check_operand("channel_attention", op.x, op.y, c);
  check_operand("channel_attention", pool, op.y, c);
  for (const Tensor& t : {op.add.t, op.add2.t})
    if (t.data) check_operand("channel_attention", t, op.y, c);
  check(op.w1.w && op.w2.w && op.w1.cin == c && op.w2.cin == r && op.w2.cout == c &&
            op.w1.dtype == DType::f32 && op.w2.dtype == DType::f32,
        Code::device, "channel_attention: the weights do not fit ", c, " channels");
  const GateRows& kernels = gate_rows();
  constexpr int kRows = 4;  // of a work item
  // Sums of each row, then of the rows in order: the same for any number of threads.
  const size_t rows_room = size_t(pool.h) * c;
  double* sums =
      static_cast<double*>(context.scratch.get((rows_room + c + r) * sizeof(double) + c * sizeof(float)));
  double *mean = sums + rows_room, *hidden = mean + c;
  float* s = reinterpret_cast<float*>(hidden + r);
  for (int image = 0; image < op.y.n; image++) {
    std::memset(sums, 0, rows_room * sizeof(double));
    context.pool.for_each(ceil_div(pool.h, kRows), [&](int item, int) {
      const FlushDenormals flush;
      for (int y = item * kRows; y < std::min(pool.h, (item + 1) * kRows); y++)
        kernels.sum(row_of(pool, image, y), pool.w, c, sums + size_t(y) * c);
    });
    std::memset(mean, 0, c * sizeof(double));
    for (int y = 0; y < pool.h; y++)
      for (int i = 0; i < c; i++) mean[i] += sums[size_t(y) * c + i];
    for (int i = 0; i < c; i++) mean[i] /= double(pool.extent().pixels());
    excite(op, mean, hidden, s);
    const int begin = std::max(rows.begin, 0), end = std::min(rows.end, op.y.h);
    context.pool.for_each(ceil_div(std::max(0, end - begin), kRows), [&](int item, int) {
      const FlushDenormals flush;
      for (int y = begin + item * kRows; y < std::min(end, begin + (item + 1) * kRows); y++)
        kernels.scale(row_of(op.x, image, y), s, row_of(op.add.t, image, y, op.add.scale),
                      row_of(op.add2.t, image, y, op.add2.scale), op.y.w, c,
                      op.y.at(y, 0) + image * op.y.image, op.y.px);
    });
  }
}

void run(const DepthwiseConv2d<Tensor>& op, Context& context, Rows rows) {
  const int c = op.y.c, k = op.k;
  check_operand("depthwise_conv2d", op.x, op.y, c);
  if (op.gate.data) check_operand("depthwise_conv2d", op.gate, op.y, c);
  check(op.w.w && op.w.cout == c && op.w.cin == k * k && op.w.dtype == DType::f32 &&
            (k == 1 || k == 3 || k == 5) && op.act != Act::prelu,
        Code::device, "depthwise_conv2d: got ", op.w.cout, " filters of side ", k, ", expected ", c,
        " of side 1, 3 or 5, without PReLU");
  const GateRows& kernels = gate_rows();
  const size_t weights = size_t(k) * k * c;
  float* panel = static_cast<float*>(context.scratch.get((weights + c) * sizeof(float)));
  const float* filters = static_cast<const float*>(op.w.w);
  for (int i = 0; i < c; i++)
    for (int tap = 0; tap < k * k; tap++) panel[size_t(tap) * c + i] = *filters++;
  for (int i = 0; i < c; i++) panel[weights + i] = op.w.bias ? op.w.bias[i] : 0;
  each_row(op.y, context, rows, [&](int image, int y) {
    DepthwiseRow row;
    for (int ky = 0; ky < k; ky++) {
      const int from = y + ky - k / 2;
      if (from >= 0 && from < op.x.h) row.x[ky] = row_of(op.x, image, from).data;
    }
    row.x_px = op.x.px, row.k = k;
    row.weight = panel, row.bias = panel + weights;
    row.gate = row_of(op.gate, image, y);
    row.act = op.act, row.slope = op.slope;
    kernels.depthwise(row, op.y.w, c, op.y.at(y, 0) + image * op.y.image, op.y.px);
  });
}

}  // namespace ups::cpu
