// Sharpening of float pictures that arrive from top to bottom, in a window of a few rows.
//
// Pictures are packed [h, w, c], c = 1 (gray), 2 (gray, alpha), 3 (RGB), 4 (RGBA), 0..1, sRGB-encoded. Alpha
// is never changed.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/resize.h"

namespace ups {

// What is added to a picture: a function of the difference between it and its blur.
struct Sharpen {
  enum class Kind : uint8_t {
    // libvips: on L of CIELAB (0..100). d = L - blur(L); slope m1 for |d| < x1, m2 beyond, at most y2 up and
    // y3 down. The blur is a Gaussian cut off below 0.1 with weights in 20ths; borders are repeated.
    lab,
    // Unsharp mask: v + amount (v - blur(v)) where |v - blur(v)| > threshold, on each colour. The blur is a
    // Gaussian out to 4 sigma; borders are reflected with the border pixel repeated.
    unsharp
  };
  Kind kind = Kind::lab;
  double sigma = 0.5;  // pixels, up to 20
  double x1 = 2, y2 = 10, y3 = 20, m1 = 0, m2 = 3;
  double amount = 1, threshold = 0;  // threshold in 0..1
};

class RowSharpener {
 public:
  // Error{Code::usage} for sizes or channels out of range, sigma outside 0.01..20, negative or infinite
  // numbers.
  RowSharpener(int h, int w, int c, const Sharpen& sharpen);
  // As RowResizer::push: the next n rows in, finished rows out in order. Results do not depend on the cut.
  void push(const float* rows, int n, Pool& pool, const RowSink& sink);
  size_t bytes() const;

 private:
  // Which of the n rows or columns stands for i, which may lie outside.
  int inside(int64_t i, int n) const;
  void take(const float* row, float* original, float* planes) const;
  void blur_row(const float* planes, float* blurred) const;
  void finish_row(int y, float* out) const;

  Sharpen s_;
  int h_, w_, c_, planes_;  // planes that are blurred: 1, or the colours
  std::vector<float> weights_;
  int radius_;
  int ring_rows_ = 0, batch_ = 0;
  int received_ = 0, delivered_ = 0;
  std::vector<float> original_;          // ring of rows
  std::vector<float> values_, blurred_;  // rings of planes before and after the blur along x
  std::vector<float> out_;               // finished rows
};

// The weights of the blur, [2 radius + 1], sum 1.
std::vector<float> sharpen_weights(const Sharpen& sharpen);

}  // namespace ups
