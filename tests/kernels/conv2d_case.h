// One random convolution with everything it points at, its double-precision result, and the comparison.
#pragma once

#include <algorithm>
#include <cstring>
#include <sstream>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "tests/reference/conv2d.h"
#include "tests/testing.h"

namespace ups::testing {

inline uint16_t half_bits(float f) {  // round to nearest, |f| in the normal range of f16 or zero
  uint32_t u;
  std::memcpy(&u, &f, 4);
  const uint32_t sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u < 0x38800000) return uint16_t(sign);
  u += 0xfff + (u >> 13 & 1);
  return uint16_t(sign | ((u - 0x38000000) >> 13));
}
inline float half_value(uint16_t h) {
  if (!(h & 0x7fff)) return 0;
  const uint32_t u = uint32_t(h & 0x8000) << 16 | ((h & 0x7fff) + 0x1c000) << 13;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

struct ConvSpec {
  int h = 8, w = 8, cin = 64, cout = 64, k = 3, stride = 1, up = 1, shuffle = 1;
  Act act = Act::none;
  bool f16 = false, bias = true;
  int adds = 0, add_group = 1;
  int x_extra = 0, y_extra = 0;  // channels of the wider buffers on top of the slice
  float slope = 0.2f, scale = 1;
  bool act_last = false, pad_end = false;
};

struct ConvCase {
  ConvSpec spec;
  std::vector<float> x, y, w32, bias, slopes, add, add2;
  std::vector<uint16_t> w16;
  std::vector<double> wide;
  Conv2d<Tensor> op;
  double largest_sum = 0;

  ConvCase(const ConvSpec& s, Random& random) : spec(s) {
    const int oh = (s.h * s.up + s.stride - 1) / s.stride, ow = (s.w * s.up + s.stride - 1) / s.stride;
    const int r = s.shuffle, yc = s.cout / (r * r);
    x = random.normals(size_t(s.h) * s.w * (s.cin + s.x_extra));
    y.assign(size_t(oh) * r * ow * r * (yc + s.y_extra), -12345.0f);
    w32 = random.normals(size_t(s.k) * s.k * s.cin * s.cout);
    wide.resize(w32.size());
    w16.resize(w32.size());
    for (size_t i = 0; i < w32.size(); i++) {
      w16[i] = half_bits(w32[i]);
      wide[i] = s.f16 ? half_value(w16[i]) : w32[i];
    }
    bias = random.normals(s.cout), slopes = random.normals(s.cout);
    const int add_c = (s.cout + s.add_group - 1) / s.add_group;
    add = random.normals(size_t(oh) * ow * (add_c + 3)), add2 = random.normals(size_t(oh) * ow * s.cout);

    op.x = dense_f32(x.data(), s.h, s.w, s.cin + s.x_extra).channels(s.x_extra / 2, s.cin);
    op.y = dense_f32(y.data(), oh * r, ow * r, yc + s.y_extra).channels(s.y_extra / 2, yc);
    op.w = {0, s.cout, s.k, s.cin, s.f16 ? DType::f16 : DType::f32, nullptr, nullptr, nullptr};
    op.w.w = s.f16 ? static_cast<const void*>(w16.data()) : w32.data();
    if (s.bias) op.w.bias = bias.data();
    if (s.act == Act::prelu) op.w.slope = slopes.data();
    op.act = s.act, op.slope = s.slope, op.scale = s.scale;
    op.stride = s.stride, op.up = s.up, op.shuffle = r;
    op.act_last = s.act_last, op.pad_end = s.pad_end;
    if (s.adds >= 1)
      op.add = {dense_f32(add.data(), oh, ow, add_c + 3).channels(2, add_c), 0.7f, s.add_group};
    if (s.adds >= 2) op.add2 = {dense_f32(add2.data(), oh, ow, s.cout), -0.3f, 1};
  }

  // What y should be; knows the largest sum from then on.
  std::vector<double> expected() { return reference::conv2d(op, wide, {}, &largest_sum); }

  void clear() { std::fill(y.begin(), y.end(), -12345.0f); }

  std::string describe() const {
    std::ostringstream o;
    o << "x [" << spec.h << ", " << spec.w << ", " << spec.cin << "+" << spec.x_extra << "] cout "
      << spec.cout << "+" << spec.y_extra << " k " << spec.k << " stride " << spec.stride << " up " << spec.up
      << " shuffle " << spec.shuffle << " act " << int(spec.act) << (spec.act_last ? " last" : "")
      << (spec.pad_end ? " pad_end" : "") << " f16 " << spec.f16 << " bias " << spec.bias << " adds "
      << spec.adds << " group " << spec.add_group << " scale " << spec.scale << " variant "
      << cpu::variant_name(op) << " isa " << cpu::isa_name();
    return o.str();
  }

  // Rounding errors of a sequential sum of K products of unit normals: each addition rounds its partial sum s
  // by eps / 2 / sqrt(3) |s| (rms). In the worst of 1e6 outputs |s| wanders to 4.5 sqrt(K), 0.6 of that on
  // average. Of thousands of convolutions a run, the worst K roundings add up to 6 of their standard
  // deviations: 0.29 * 2.7 * 6 * eps * K = 4.7 * eps * K. Products of normals have heavier tails: the largest
  // sum of few is many times sqrt(K) and takes the place of 4.5 sqrt(K). 8 sqrt(K), or 2.5 of the largest
  // sum, covers the roundings after it: bias, an exponential good to 4 units, the scale, addends of about 4.
  // Winograd F(4,3) with the points 0, +-sqrt(1/2), +-sqrt(2), inf: sums over cin alone, 4 deviations of
  // which are 3 * eps * K, but A^T amplifies their roundings, 1.9 times the rms error of a direct sum at K =
  // 576 and 1728; and the transforms' own roundings of V and U come on top, 5 * eps * sqrt(K) rms, of which
  // again the tail of 1e6 outputs is five times as large. Of larger tiles the matrices say how much more: a
  // pixel's error goes with the root of the sum over products of A^2 (sum of G^2) (sum of B^2), which is 4.3
  // times that of F(4,3) for F(6,3) and 24 times for F(8,3) in rms, and 7 and 68 times at the far corner of a
  // tile. Taken: 6 and 60, and for the transforms, whose roundings show where few channels are summed, 20 and
  // 200.
  double tolerance() const {
    const double eps = std::numeric_limits<float>::epsilon();
    const double k = double(spec.k) * spec.k * spec.cin;
    const std::string variant = cpu::variant_name(op);
    const int tile = variant == "winograd_f4"   ? 4
                     : variant == "winograd_f6" ? 6
                     : variant == "winograd_f8" ? 8
                                                : 0;
    const double sums = tile == 8 ? 60 : tile == 6 ? 6 : 1, transforms = tile == 8 ? 200 : tile == 6 ? 20 : 1;
    const double deviation = 0.29 * 0.6 * std::sqrt(k) * std::max(4.5 * std::sqrt(k), largest_sum);
    const double sum = tile > 0 ? sums * 1.9 * 4 * deviation + transforms * 25 * std::sqrt(k) : 6 * deviation;
    const double after = std::max(8 * std::sqrt(k) + 8, 2.5 * (largest_sum + 4));
    double slope = 1;
    if (spec.act == Act::prelu)
      for (float s : slopes) slope = std::max(slope, double(std::abs(s)));
    return eps * (sum + after) * std::max(1.0, std::abs(double(spec.scale))) * slope;
  }

  // x with rows [first, last] only, as a strip has them; the vector holds them. ASan guards its ends.
  std::vector<float> cut_rows(int first, int last) {
    const size_t row = size_t(spec.w) * (spec.cin + spec.x_extra);
    std::vector<float> strip(x.begin() + first * row, x.begin() + (last + 1) * row);
    op.x.data =
        reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(strip.data()) - first * row * sizeof(float)) +
        spec.x_extra / 2;
    return strip;
  }

  // Largest error over rows [begin, end) before the shuffle; checks that nothing else was written.
  double worst_error(const std::vector<double>& expected, int begin, int end, bool* untouched) const {
    double worst = 0;
    *untouched = true;
    const int r = spec.shuffle, first = spec.y_extra / 2;
    for (int row = 0; row < op.y.h; row++) {
      for (int col = 0; col < op.y.w; col++) {
        const float* px = &y[(size_t(row) * op.y.w + col) * (op.y.c + spec.y_extra)];
        for (int c = 0; c < op.y.c + spec.y_extra; c++) {
          const bool inside = c >= first && c < first + op.y.c && row / r >= begin && row / r < end;
          if (!inside) {
            *untouched = *untouched && px[c] == -12345.0f;
            continue;
          }
          const double want = expected[(size_t(row) * op.y.w + col) * op.y.c + c - first];
          const double error = std::abs(want - px[c]);
          worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
        }
      }
    }
    return worst;
  }
};

}  // namespace ups::testing
