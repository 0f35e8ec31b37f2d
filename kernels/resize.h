// Separable antialiased resampling of float images: coefficient tables, a streaming resizer, a whole-image
// call.
//
// Output pixel i samples at the centre (i + 0.5) * in / out. When shrinking, the filter is widened by in /
// out, so that it averages instead of skipping. Taps beyond the border are dropped and the rest normalised to
// sum 1. This is Pillow's convention; unlike its 8-bit path nothing is rounded or clipped in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cpu/pool.h"
#include "kernels/tensor.h"

namespace ups {

// The order is that of ups_filter in include/upscale.h.
enum class Filter : uint8_t {
  lanczos3,  // sinc(x) sinc(x/3), |x| < 3
  bicubic,   // Keys (1981), a = -0.5
  mitchell,  // Mitchell and Netravali (1988), B = C = 1/3
  bilinear,  // triangle
  box,       // mean of the covered pixels
  nearest,   // the pixel that holds the centre, also when shrinking
  area,      // mean of the covered area, pixels at its rim in part: OpenCV's INTER_AREA when shrinking
  // OpenCV's, which are not widened when shrinking, and at the border repeat the last pixel:
  lanczos4,  // INTER_LANCZOS4: sinc(x) sinc(x/4), |x| < 4
  cubic      // INTER_CUBIC: Keys, a = -0.75
};
constexpr int kFilters = 9;

const char* filter_name(Filter filter);

// The filter's value at x (in units of its own grid), before normalisation. nearest: as box.
double filter_value(Filter filter, double x);

// One output pixel: the weighted sum of input pixels first .. first + count - 1.
struct Taps {
  int first = 0, count = 0;
  const float* weights = nullptr;  // [count], sum 1
};

// The taps of every output pixel along one axis. Equal sizes give the identity for every filter.
class TapTable {
 public:
  // Sizes >= 1, else Error{Code::usage}. pad: as many more input pixels are there before the first and after
  // the last, and are used as such: input pixel 0 of the table is pixel -pad of the image.
  TapTable(int in, int out, Filter filter, int pad = 0);
  // The padding that no tap reaches beyond.
  static int reach(int in, int out, Filter filter);
  Taps operator[](int i) const { return {first_[i], count_[i], weights_.data() + size_t(i) * max_count_}; }
  int in() const { return in_; }  // padding included
  int out() const { return int(first_.size()); }
  int max_count() const { return max_count_; }
  bool identity() const { return identity_; }
  size_t bytes() const;

 private:
  int in_ = 0, max_count_ = 1;
  bool identity_ = false;
  std::vector<int> first_, count_;
  std::vector<float> weights_;  // [out, max_count]
};

// Finished rows [y, y + n), packed [n, out_w, c]; valid during the call.
using RowSink = std::function<void(int y, int n, const float* rows)>;

// Resizes an image that arrives from top to bottom. Holds a ring of horizontally resampled rows: memory is
// about (support + a few) * out_w * c floats, whatever the heights. Results do not depend on how the rows are
// divided among push calls, nor on the number of threads.
class RowResizer {
 public:
  // Error{Code::usage} for sizes or c below 1. pad: rows and columns that continue the image beyond each end
  // (for pictures that wrap); they are pushed like the others: rows of in_w + 2 pad.w, in_h + 2 pad.h of
  // them.
  RowResizer(int in_h, int in_w, int out_h, int out_w, int c, Filter filter, Extent pad = {});
  // The next n input rows, packed [n, in_w, c]. Calls sink, on this thread, for the output rows that are now
  // complete: in order, each once. After the last input row all output rows have been delivered. More than
  // in_h rows in total: Error{Code::usage}. An exception from sink leaves the object unusable.
  void push(const float* rows, int n, Pool& pool, const RowSink& sink);
  // Working memory, coefficient tables included.
  size_t bytes() const;

 private:
  void emit(Pool& pool, const RowSink& sink);

  TapTable x_, y_;
  int c_;
  int64_t out_row_;    // floats in an output row
  int batch_ = 0;      // input rows per round
  int ring_rows_ = 0;  // rows held
  int out_rows_ = 0;   // output rows per sink call
  int received_ = 0, delivered_ = 0;
  std::vector<float> ring_, out_;  // [ring_rows, out_w, c], [out_rows, out_w, c]
};

// in [in_size.h, in_size.w, c] -> out [out_size.h, out_size.w, c], both packed; they must not overlap. Equal
// sizes: an exact copy.
void resize(const float* in, Extent in_size, int c, float* out, Extent out_size, Filter filter, Pool& pool);

}  // namespace ups
