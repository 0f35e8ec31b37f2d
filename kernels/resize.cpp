// Resampling: Pillow's coefficient tables, a horizontal pass into a ring of rows, a vertical pass out of it.
#include "kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/error.h"

namespace ups {
namespace {

// Half width of each filter on its own grid.
double support_of(Filter filter) {
  switch (filter) {
    case Filter::lanczos3:
      return 3;
    case Filter::bicubic:
      return 2;
    case Filter::mitchell:
      return 2;
    case Filter::bilinear:
      return 1;
    case Filter::lanczos4:
      return 4;
    case Filter::cubic:
      return 2;
    default:
      return 0.5;
  }
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

// Keys' cubic convolution kernel at x >= 0 for his parameter a.
double keys(double x, double a) {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double mitchell(double x) {  // B = C = 1/3, all coefficients times 18
  if (x < 1) return ((21 * x - 36) * x * x + 16) / 18;
  if (x < 2) return (((-7 * x + 36) * x - 60) * x + 32) / 18;
  return 0;
}

// Sums of more taps than this are formed in blocks, so that the rounding error grows with the size of a block
// and the number of blocks, not with their product (5000 px -> 1 px has 5000 taps).
constexpr int kBlock = 64;

// y[j] = sum over taps of weights[k] * x[k][j], 0 <= j < n.
void vertical(const float* const* x, const float* weights, int count, float* y, int64_t n) {
  if (count == 1 && weights[0] == 1) {
    std::memcpy(y, x[0], size_t(n) * sizeof(float));
    return;
  }
  constexpr int kWidth = 16;  // four SSE registers of sums
  int64_t j = 0;
  for (; j + kWidth <= n; j += kWidth) {
    float sum[kWidth] = {};
    for (int k0 = 0; k0 < count; k0 += kBlock) {
      const int k1 = std::min(count, k0 + kBlock);
      float part[kWidth] = {};
      for (int k = k0; k < k1; k++) {
        const float w = weights[k];
        const float* row = x[k] + j;
        for (int l = 0; l < kWidth; l++) part[l] += w * row[l];
      }
      for (int l = 0; l < kWidth; l++) sum[l] += part[l];
    }
    std::memcpy(y + j, sum, sizeof sum);
  }
  for (; j < n; j++) {
    float sum = 0;
    for (int k0 = 0; k0 < count; k0 += kBlock) {
      float part = 0;
      for (int k = k0; k < std::min(count, k0 + kBlock); k++) part += weights[k] * x[k][j];
      sum += part;
    }
    y[j] = sum;
  }
}

// One pixel of C = 3 or 4 channels as four lanes. `x` has four readable floats at every tap but the last,
// which has C: the fourth lane of an RGB pixel belongs to its neighbour and is dropped.
template <int C>
void pixel(const float* x, const Taps& taps, float* y) {
  float sum[4] = {};
  const int last = taps.count - 1;
  for (int k0 = 0; k0 < last; k0 += kBlock) {
    const int k1 = std::min(last, k0 + kBlock);
    float part[4] = {};
    for (int k = k0; k < k1; k++)
      for (int l = 0; l < 4; l++) part[l] += taps.weights[k] * x[k * C + l];
    for (int l = 0; l < 4; l++) sum[l] += part[l];
  }
  for (int l = 0; l < C; l++) y[l] = sum[l] + taps.weights[last] * x[int64_t(last) * C + l];
}

// One gray pixel: four interleaved partial sums.
void pixel1(const float* x, const Taps& taps, float* y) {
  float sum[4] = {};
  int k = 0;
  for (int k0 = 0; k0 + 4 <= taps.count; k0 += kBlock) {
    float part[4] = {};
    for (k = k0; k + 4 <= std::min(taps.count, k0 + kBlock); k += 4)
      for (int l = 0; l < 4; l++) part[l] += taps.weights[k + l] * x[k + l];
    for (int l = 0; l < 4; l++) sum[l] += part[l];
  }
  float rest = 0;
  for (; k < taps.count; k++) rest += taps.weights[k] * x[k];
  *y = (sum[0] + sum[1]) + (sum[2] + sum[3]) + rest;
}

void pixel_any(const float* x, const Taps& taps, int c, float* y) {
  for (int l = 0; l < c; l++) {
    float sum = 0;
    for (int k0 = 0; k0 < taps.count; k0 += kBlock) {
      float part = 0;
      for (int k = k0; k < std::min(taps.count, k0 + kBlock); k++)
        part += taps.weights[k] * x[int64_t(k) * c + l];
      sum += part;
    }
    y[l] = sum;
  }
}

void horizontal(const float* x, const TapTable& table, int c, float* y) {
  if (table.identity()) {
    std::memcpy(y, x, size_t(table.in()) * c * sizeof(float));
    return;
  }
  for (int i = 0; i < table.out(); i++, y += c) {
    const Taps taps = table[i];
    const float* p = x + int64_t(taps.first) * c;
    if (c == 3)
      pixel<3>(p, taps, y);
    else if (c == 4)
      pixel<4>(p, taps, y);
    else if (c == 1)
      pixel1(p, taps, y);
    else
      pixel_any(p, taps, c, y);
  }
}

bool is_opencv(Filter filter) { return filter == Filter::lanczos4 || filter == Filter::cubic; }

// The part of [low, high) that pixel k covers.
double overlap(int k, double low, double high) {
  return std::max(0.0, std::min(high, k + 1.0) - std::max(low, double(k)));
}

// Rows per round: enough work for the threads, little enough to stay in a second-level cache.
int batch_rows(int64_t row_floats, int rows) {
  return std::min<int64_t>(rows, std::clamp<int64_t>(65536 / row_floats, 8, 256));
}

}  // namespace

const char* filter_name(Filter filter) {
  switch (filter) {
    case Filter::lanczos3:
      return "lanczos3";
    case Filter::bicubic:
      return "bicubic";
    case Filter::mitchell:
      return "mitchell";
    case Filter::bilinear:
      return "bilinear";
    case Filter::box:
      return "box";
    case Filter::nearest:
      return "nearest";
    case Filter::area:
      return "area";
    case Filter::lanczos4:
      return "lanczos4";
    case Filter::cubic:
      return "cubic";
  }
  return "unknown";
}

double filter_value(Filter filter, double x) {
  switch (filter) {
    case Filter::lanczos3:
      return std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    case Filter::bicubic:
      return keys(std::abs(x), -0.5);
    case Filter::lanczos4:
      return std::abs(x) < 4 ? sinc(x) * sinc(x / 4) : 0;
    case Filter::cubic:
      return keys(std::abs(x), -0.75);
    case Filter::mitchell:
      return mitchell(std::abs(x));
    case Filter::bilinear:
      return std::max(0.0, 1 - std::abs(x));
    default:
      return x > -0.5 && x <= 0.5 ? 1 : 0;  // half open: a centre on a pixel border counts once
  }
}

int TapTable::reach(int in, int out, Filter filter) {
  if (in == out || filter == Filter::nearest) return 0;
  return int(std::ceil(support_of(filter) * std::max(1.0, double(in) / out))) + 1;
}

TapTable::TapTable(int in, int out, Filter filter, int pad)
    : in_(in + 2 * pad), identity_(in == out && pad == 0) {
  check(in >= 1 && out >= 1, Code::usage, "resize: got sizes ", in, " -> ", out, ", expected at least 1");
  first_.resize(out);
  count_.assign(out, 1);
  if (in == out || filter == Filter::nearest) {
    weights_.assign(out, 1.0f);
    // Stepping, as Pillow: where a centre lies on a pixel border, the rounding of the sum picks the side.
    double centre = 0.5 * in / out;
    for (int i = 0; i < out; i++, centre += double(in) / out) first_[i] = std::min(in - 1, int(centre)) + pad;
    return;
  }
  const double scale = double(in) / out;
  const double widen = is_opencv(filter) ? 1 : std::max(1.0, scale);
  const double narrow = 1 / widen;  // a product, as Pillow: a box border can lie on a pixel centre
  const double support = support_of(filter) * widen;
  max_count_ = int(std::min<double>(in_, std::ceil(support) * 2 + 2));
  weights_.assign(size_t(out) * max_count_, 0.0f);
  std::vector<double> w(max_count_);
  for (int i = 0; i < out; i++) {
    const double centre = (i + 0.5) * scale + pad;
    int begin = int(std::max(0.0, centre - support + 0.5));
    int end = int(std::min<double>(in_, centre + support + 0.5));
    double sum = 0;
    if (filter == Filter::area) {
      const double low = i * scale + pad, high = (i + 1) * scale + pad;
      begin = std::min(in_ - 1, int(low)), end = std::min(in_, std::max(begin + 1, int(std::ceil(high))));
      for (int k = begin; k < end; k++) sum += w[k - begin] = overlap(k, low, high);
    } else if (is_opencv(filter)) {
      // All taps count; those beyond the border read the last pixel.
      const int first = int(std::floor(centre - 0.5)) + 1 - int(support), last = first + 2 * int(support) - 1;
      begin = std::clamp(first, 0, in_ - 1), end = std::clamp(last, 0, in_ - 1) + 1;
      std::fill(w.begin(), w.end(), 0.0);
      for (int k = first; k <= last; k++) {
        const double v = filter_value(filter, k + 0.5 - centre);
        w[std::clamp(k, 0, in_ - 1) - begin] += v, sum += v;
      }
    } else {
      for (int k = begin; k < end; k++)
        sum += w[k - begin] = filter_value(filter, (k - centre + 0.5) * narrow);
    }
    const int count = end - begin;
    for (int k = 0; k < count; k++) weights_[size_t(i) * max_count_ + k] = float(w[k] / sum);
    first_[i] = begin;
    count_[i] = count;
  }
}

size_t TapTable::bytes() const {
  return (first_.size() + count_.size()) * sizeof(int) + weights_.size() * sizeof(float);
}

RowResizer::RowResizer(int in_h, int in_w, int out_h, int out_w, int c, Filter filter, Extent pad)
    : x_(in_w, out_w, filter, pad.w), y_(in_h, out_h, filter, pad.h), c_(c), out_row_(int64_t(out_w) * c) {
  check(c >= 1, Code::usage, "resize: got ", c, " channels, expected at least 1");
  if (x_.identity() && y_.identity()) return;  // push hands its rows on
  batch_ = batch_rows(out_row_, y_.in());
  ring_rows_ = int(std::min<int64_t>(y_.in(), int64_t(y_.max_count()) + batch_));
  out_rows_ = batch_rows(out_row_, out_h);
  ring_.resize(size_t(ring_rows_) * out_row_);
  out_.resize(size_t(out_rows_) * out_row_);
}

size_t RowResizer::bytes() const {
  return x_.bytes() + y_.bytes() + (ring_.size() + out_.size()) * sizeof(float);
}

void RowResizer::push(const float* rows, int n, Pool& pool, const RowSink& sink) {
  check(n >= 0 && n <= y_.in() - received_, Code::usage, "resize: got ", n, " rows after ", received_,
        ", expected at most ", y_.in(), " in all");
  if (x_.identity() && y_.identity()) {
    received_ += n;
    if (n > 0) sink(received_ - n, n, rows);
    return;
  }
  const int64_t in_row = int64_t(x_.in()) * c_;
  while (n > 0) {
    const int count = std::min(n, batch_);
    const int wanted = delivered_ < y_.out() ? y_[delivered_].first : y_.in();  // earlier rows are not needed
    pool.for_each(count, [&](int i, int) {
      const int row = received_ + i;
      if (row >= wanted) horizontal(rows + i * in_row, x_, c_, ring_.data() + row % ring_rows_ * out_row_);
    });
    received_ += count;
    emit(pool, sink);
    rows += count * in_row;
    n -= count;
  }
}

void RowResizer::emit(Pool& pool, const RowSink& sink) {
  constexpr int64_t kSegment = 2048;  // floats: splits wide rows among threads when few rows are complete
  const int segments = int((out_row_ + kSegment - 1) / kSegment);
  while (true) {
    int ready = 0;
    while (ready < out_rows_ && delivered_ + ready < y_.out()) {
      const Taps taps = y_[delivered_ + ready];
      if (taps.first + taps.count > received_) break;
      ready++;
    }
    if (ready == 0) return;
    pool.for_each(ready * segments, [&](int i, int) {
      const Taps taps = y_[delivered_ + i / segments];
      const int64_t begin = i % segments * kSegment;
      std::vector<const float*> rows(taps.count);
      for (int k = 0; k < taps.count; k++)
        rows[k] = ring_.data() + (taps.first + k) % ring_rows_ * out_row_ + begin;
      vertical(rows.data(), taps.weights, taps.count, out_.data() + i / segments * out_row_ + begin,
               std::min(kSegment, out_row_ - begin));
    });
    delivered_ += ready;
    sink(delivered_ - ready, ready, out_.data());
  }
}

void resize(const float* in, Extent in_size, int c, float* out, Extent out_size, Filter filter, Pool& pool) {
  RowResizer resizer(in_size.h, in_size.w, out_size.h, out_size.w, c, filter);
  const int64_t row = int64_t(out_size.w) * c;
  resizer.push(in, in_size.h, pool, [&](int y, int n, const float* rows) {
    std::memcpy(out + y * row, rows, size_t(n) * row * sizeof(float));
  });
}

}  // namespace ups
