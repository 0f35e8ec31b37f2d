// run(CrossCovarianceAttention): sums over the image in a fixed order, softmax, product with v.
#include "kernels/cpu/cross_covariance.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

// a [d, d], transposed: a[j * a_row + i] = softmax_j(t * gram[i, j] / (|q_i| |k_j|))
void softmax_rows(const double* gram, const double* squares, double t, int d, double* room, float* a,
                  int a_row) {
  const auto length = [&](int i) { return std::max(std::sqrt(squares[i]), 1e-12); };
  for (int i = 0; i < d; i++) {
    double largest = -INFINITY, sum = 0;
    for (int j = 0; j < d; j++) {
      room[j] = t * gram[size_t(i) * d + j] / length(i) / length(d + j);
      largest = std::max(largest, room[j]);
    }
    for (int j = 0; j < d; j++) sum += room[j] = std::exp(room[j] - largest);
    for (int j = 0; j < d; j++) a[size_t(j) * a_row + i] = float(room[j] / sum);
  }
}

}  // namespace

void run(const CrossCovarianceAttention<Tensor>& op, Context& context, Rows) {
  const int d = op.d, heads = op.heads, h = op.x.h, w = op.x.w;
  const auto f32 = [](const Tensor& t) { return t.data && t.dtype == DType::f32 && t.px >= t.c; };
  check(f32(op.x) && f32(op.y) && op.t.w && op.t.dtype == DType::f32 && op.t.cout == heads, Code::device,
        "cross_covariance_attention: expected f32 operands and a temperature per head");
  check(op.y.n == op.x.n && op.y.extent() == op.x.extent() && op.y.c == heads * d && op.x.c == 3 * op.y.c,
        Code::device, "cross_covariance_attention: y is [", op.y.h, ", ", op.y.w, ", ", op.y.c, "] for x [",
        h, ", ", w, ", ", op.x.c, "] and ", heads, " heads of ", d);
  const CovarianceKernels& kernels = covariance_kernels();
  // Per head the products and the squares of q and k. Bands of rows are summed in double, row after row, then
  // in order: the same for any number of threads.
  const int head_sums = d * d + 2 * d, sums = heads * head_sums;
  const int bands = std::min(h, 16), threads = context.pool.threads();
  const int a_row = (d + kChannelPad - 1) / kChannelPad * kChannelPad;
  const size_t a_head = size_t(d) * a_row, a_floats = heads * a_head;
  double* memory =
      static_cast<double*>(context.scratch.get((size_t(bands) * sums + d) * sizeof(double) +
                                               (size_t(threads) * head_sums + a_floats) * sizeof(float)));
  double* room = memory + size_t(bands) * sums;
  float *row_sums = reinterpret_cast<float*>(room + d), *a = row_sums + size_t(threads) * head_sums;
  const float* t = static_cast<const float*>(op.t.w);
  for (int image = 0; image < op.x.n; image++) {
    std::memset(memory, 0, size_t(bands) * sums * sizeof(double));
    context.pool.for_each(bands * heads, [&](int item, int thread) {
      const FlushDenormals flush;
      const int band = item / heads, n = item % heads;
      double* total = memory + size_t(band) * sums + size_t(n) * head_sums;
      float* part = row_sums + size_t(thread) * head_sums;
      for (int y = int(int64_t(h) * band / bands); y < int(int64_t(h) * (band + 1) / bands); y++) {
        const float* q = op.x.at(y, 0) + image * op.x.image + n * d;
        for (int x = 0; x < w; x += 256) {
          std::memset(part, 0, head_sums * sizeof(float));
          kernels.gram(q + x * op.x.px, q + x * op.x.px + op.y.c, op.x.px, std::min(256, w - x), d, part,
                       part + d * d);
          for (int i = 0; i < head_sums; i++) total[i] += part[i];
        }
      }
    });
    for (int band = 1; band < bands; band++)
      for (int i = 0; i < sums; i++) memory[i] += memory[size_t(band) * sums + i];
    std::memset(a, 0, a_floats * sizeof(float));
    for (int n = 0; n < heads; n++) {
      const double* total = memory + size_t(n) * head_sums;
      softmax_rows(total, total + d * d, t[n], d, room, a + n * a_head, a_row);
    }
    context.pool.for_each(h, [&](int y, int) {
      const FlushDenormals flush;
      for (int n = 0; n < heads; n++)
        kernels.apply(a + n * a_head, a_row, op.x.at(y, 0) + image * op.x.image + 2 * op.y.c + n * d, op.x.px,
                      w, d, op.y.at(y, 0) + image * op.y.image + n * d, op.y.px);
    });
  }
}

}  // namespace ups::cpu
