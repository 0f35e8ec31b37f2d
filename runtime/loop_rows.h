// Rows on their way through the loop: collected, cut, converted between what networks and pictures hold.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/resize.h"
#include "runtime/channels.h"
#include "runtime/image.h"
#include "runtime/schedule.h"

namespace ups {

// Rows of one image, collected into floats.
struct Collector {
  std::vector<float> pixels;
  Extent extent;
  int c;
  Collector(Extent e, int c) : pixels(size_t(e.pixels()) * c), extent(e), c(c) {}
  void put(int y, int n, const float* rows) {
    const int64_t row = int64_t(extent.w) * c;
    std::copy(rows, rows + n * row, this->row(y));
  }
  float* row(int y) { return pixels.data() + int64_t(y) * extent.w * c; }
  Image image() { return f32_image(pixels.data(), extent, c); }
};

// Brings network rows [n, w, network_c] to the channels kept between steps, in place where possible.
class ToState {
 public:
  explicit ToState(const ChannelPlan& plan) : plan_(plan) {}
  const float* operator()(const float* rows, int64_t pixels) {
    if (plan_.network_c == plan_.state_c && !plan_.to_gray && !plan_.alpha_to_gray) return rows;
    out_.resize(size_t(pixels) * plan_.state_c);
    const int from = plan_.network_c, to = plan_.state_c;
    for (int64_t i = 0; i < pixels; i++) {
      const float* in = rows + i * from;
      float* out = out_.data() + i * to;
      if (plan_.to_gray)
        rgb_to_gray(in, out, 1);
      else if (from == 1)
        std::fill(out, out + std::min(to, 3), in[0]);
      else
        std::copy(in, in + std::min({from, to, 3}), out);
      if (plan_.alpha_to_gray)
        rgb_to_gray(in + plan_.alpha_at, out + to - 1, 1);
      else if (plan_.alpha_at >= 0)
        out[to - 1] = in[plan_.alpha_at];
    }
    return out_.data();
  }

 private:
  ChannelPlan plan_;
  std::vector<float> out_;
};

// Luma of a colour picture as a float image, for networks that want gray.
Collector luma(const Image& in, Pool& pool);

// The middle of a picture.
Image middle(const Image& picture, Extent kept);

// Takes rows of a whole picture of step.target, hands on those of its middle. The buffer must outlive the
// sink.
RowSink middle_rows(const Step& step, int c, std::vector<float>& buffer, const RowSink& sink);

// The first c channels of a picture as float rows [n, w, c], at most kRowsAtOnce of them at a time, from top
// to bottom.
constexpr int kRowsAtOnce = 16;
void rows_of(const Image& picture, int c, Pool& pool, const RowSink& sink);

// The mean of the colours at 8 bits, 0..255: what the brightness rule of loopback looks at.
double mean_of(const Image& picture, Pool& pool);

}  // namespace ups
