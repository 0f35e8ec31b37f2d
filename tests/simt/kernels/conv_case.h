// One random convolution in device memory, with its double-precision result.
#pragma once

#include <cstring>
#include <memory>
#include <sstream>

#include "kernels/device/run.h"
#include "kernels/pack.h"
#include "tests/device/twin.h"
#include "tests/reference/conv2d.h"

namespace ups::testing {

struct DeviceConvSpec {
  int n = 1, h = 8, w = 8, cin = 32, cout = 32, k = 3, stride = 1, up = 1, shuffle = 1;
  Act act = Act::none;
  DType x = DType::f16, y = DType::f16, adds_dtype = DType::f16, weight = DType::f16;
  int adds = 0, add_group = 1;
  int x_first = 0, x_extra = 0, y_first = 0, y_extra = 0;  // slices: channels before, channels in all beyond
  bool bias = true;
  float slope = 0.2f, scale = 1;
  bool act_last = false, pad_end = false;
  int row_begin = 0, row_end = 1 << 30;
  bool tf32 = false;      // allowed; x and w are then made of tf32 values, so that it costs nothing
  bool f16_sums = false;  // allowed
  bool upward = false;
  int shortcut = 0, shortcut_first = 0, shortcut_extra = 0;  // its channels; a slice as x is
  bool whole_vectors = false;  // pixels of all images take multiples of 8 channels, the last ones NaN
};

inline float to_tf32(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  bits &= 0xffffe000;
  std::memcpy(&v, &bits, 4);
  return v;
}

struct DeviceConvCase {
  DeviceConvSpec spec;
  TwinImage x, y, add, add2, shortcut;
  std::vector<double> wide, shortcut_wide;  // [k, k, cin, cout]
  Twin<unsigned char> packed, shortcut_packed;
  Twin<float> bias, slopes, shortcut_bias;
  Conv2d<Tensor> op, on_host;
  std::vector<std::vector<double>> expected;  // by image
  double largest_sum = 0;                     // of all images
  bool summed_in_f16 = false;                 // the variant at hand
  DType sums_stored_as = DType::f32;          // likewise: before bias and what follows
  bool weights_summed = false;                // likewise: taps that meet the same pixel, rounded once

  // Sets the first and the last of these.
  void computed_by(const cuda::Conv2dVariant& variant) {
    summed_in_f16 = std::string(variant.name) == "mma_f16_sums";
    weights_summed = std::string(variant.name) == "wgmma-phases";
  }

  // Channels behind a slice of c so that pixels take whole vectors, if they are to.
  int and_rest(int extra, int c) const {
    return extra + (spec.whole_vectors ? (8 - (c + extra) % 8) % 8 : 0);
  }

  static int out(int in, const DeviceConvSpec& s) { return (in * s.up + s.stride - 1) / s.stride; }

  DeviceConvCase(const DeviceConvSpec& s, Random& random)
      : spec(s),
        packed(mma_layout(s.cout, s.cin, s.k).elements() * dtype_bytes(s.weight)),
        shortcut_packed(mma_layout(s.cout, std::max(1, s.shortcut), 1).elements() * dtype_bytes(s.weight)),
        bias(size_t(s.cout)),
        slopes(size_t(s.cout)),
        shortcut_bias(size_t(s.cout)) {
    const int oh = out(s.h, s), ow = out(s.w, s), r = s.shuffle;
    const int y_c = s.cout / (r * r);
    x = TwinImage(s.x, s.n, s.h, s.w, s.cin, s.x_first, and_rest(s.x_extra, s.cin), &random);
    y = TwinImage(s.y, s.n, oh * r, ow * r, y_c, s.y_first, and_rest(s.y_extra, y_c), nullptr);
    std::vector<float> weights = random.normals(size_t(s.k) * s.k * s.cin * s.cout);
    for (float& v : weights) v = s.tf32 ? to_tf32(v) : round_to(s.weight, v);
    if (s.tf32) {
      for (size_t i = 0; i < x.host.size(); i++) {
        x.host[i] = to_tf32(x.host[i]);
        std::memcpy(x.memory->host() + i * 4, &x.host[i], 4);
      }
      x.upload();
    }
    wide.assign(weights.begin(), weights.end());
    pack_mma(weights.data(), WeightOrder::hwio, s.cout, s.cin, s.k, s.weight, packed.host());
    for (int c = 0; c < s.cout; c++) bias[size_t(c)] = random.normal(), slopes[size_t(c)] = random.normal();
    packed.upload(), bias.upload(), slopes.upload();

    op.x = x.on_device, op.y = y.on_device;
    op.w = {0,
            s.cout,
            s.k,
            s.cin,
            s.weight,
            packed.data(),
            s.bias ? bias.data() : nullptr,
            s.act == Act::prelu ? slopes.data() : nullptr,
            s.tf32};
    op.w.f16_sums = s.f16_sums;
    op.act = s.act, op.slope = s.slope, op.scale = s.scale;
    op.stride = s.stride, op.up = s.up, op.shuffle = r;
    op.act_last = s.act_last, op.pad_end = s.pad_end;
    on_host = op;
    on_host.x = x.on_host, on_host.y = y.on_host;
    if (op.w.bias) on_host.w.bias = bias.host();
    if (op.w.slope) on_host.w.slope = slopes.host();
    if (s.adds >= 1) {
      const int c = (s.cout + s.add_group - 1) / s.add_group;
      add = TwinImage(s.adds_dtype, s.n, oh, ow, c, 0, and_rest(s.add_group > 1 ? 3 : 8, c), &random);
      op.add = {add.on_device, 0.7f, s.add_group};
      on_host.add = {add.on_host, 0.7f, s.add_group};
    }
    if (s.adds >= 2) {
      add2 = TwinImage(s.adds_dtype, s.n, oh, ow, s.cout, 0, and_rest(0, s.cout), &random);
      op.add2 = {add2.on_device, -0.3f, 1};
      on_host.add2 = {add2.on_host, -0.3f, 1};
    }
    if (s.shortcut) add_shortcut(random);
    for (int n = 0; n < s.n; n++) {
      Conv2d<Tensor> one = on_host;
      for (Tensor* t : {&one.x, &one.y, &one.add.t, &one.add2.t, &one.shortcut.t})
        if (t->data) t->data = static_cast<float*>(t->data) + n * t->image;
      expected.push_back(reference::conv2d(one, wide, shortcut_wide, &largest_sum));
    }
  }

  void add_shortcut(Random& random) {
    const DeviceConvSpec& s = spec;
    shortcut = TwinImage(s.x, s.n, out(s.h, s), out(s.w, s), s.shortcut, s.shortcut_first,
                         and_rest(s.shortcut_extra, s.shortcut), &random);
    std::vector<float> weights = random.normals(size_t(s.shortcut) * s.cout);
    for (float& v : weights) v = round_to(s.weight, v);
    shortcut_wide.assign(weights.begin(), weights.end());
    pack_mma(weights.data(), WeightOrder::hwio, s.cout, s.shortcut, 1, s.weight, shortcut_packed.host());
    for (int c = 0; c < s.cout; c++) shortcut_bias[size_t(c)] = random.normal();
    shortcut_packed.upload(), shortcut_bias.upload();
    op.shortcut = {shortcut.on_device,
                   {1, s.cout, 1, s.shortcut, s.weight, shortcut_packed.data(),
                    s.bias ? shortcut_bias.data() : nullptr, nullptr, s.tf32}};
    on_host.shortcut = {shortcut.on_host, op.shortcut.w};
    if (s.bias) on_host.shortcut.w.bias = shortcut_bias.host();
  }

  // Input rows that the row range does not need cease to exist.
  void drop_unneeded_rows() {
    const int last = std::min(spec.row_end, out(spec.h, spec));
    const int first_row = std::max(0, spec.row_begin * spec.stride - op.pad()) / spec.up;
    const int last_row =
        std::min((last - 1) * spec.stride + spec.k - 1 - op.pad(), spec.h * spec.up - 1) / spec.up;
    if (spec.n > 1 || last_row < first_row) return;
    const size_t row_bytes = size_t(x.on_device.row) * dtype_bytes(spec.x);
    auto rest = std::make_unique<Twin<unsigned char>>(row_bytes * size_t(last_row - first_row + 1));
    std::memcpy(rest->host(), x.memory->host() + size_t(first_row) * row_bytes, rest->size());
    rest->upload();
    x.memory = std::move(rest);
    op.x.data = x.memory->data() - size_t(first_row) * row_bytes + size_t(spec.x_first) * dtype_bytes(spec.x);
  }

  std::string describe() const {
    const DeviceConvSpec& s = spec;
    std::ostringstream o;
    o << "x [" << s.n << ", " << s.h << ", " << s.w << ", " << s.cin << "] " << dtype_name(s.x) << " slice "
      << s.x_first << "+" << s.x_extra << " cout " << s.cout << " " << dtype_name(s.y) << " slice "
      << s.y_first << "+" << s.y_extra << " k " << s.k << " stride " << s.stride << " up " << s.up
      << " shuffle " << s.shuffle << " act " << int(s.act) << (s.act_last ? " last" : "")
      << (s.pad_end ? " pad_end" : "") << " adds " << s.adds << " group " << s.add_group << " "
      << dtype_name(s.adds_dtype) << " scale " << s.scale << " bias " << s.bias << " rows " << s.row_begin
      << ".." << s.row_end << " shortcut " << s.shortcut << " slice " << s.shortcut_first << "+"
      << s.shortcut_extra << (s.tf32 ? " tf32" : "") << (s.f16_sums ? " f16 sums" : "");
    return o.str();
  }

  // Sums in f32 and what follows them as derived in tests/kernels/conv2d_case.h; then the unit roundoff of
  // y's dtype, 2^-11 or 2^-8.
  //
  // With sums in f16: x and weights are normal, so partial sums of 16, 32 and 48 products have the variance
  // 32 on average; each of K/16 is rounded by up to 2^-11 of itself, sigma 2^-11 / sqrt(3). Those errors add
  // up to sigma = 2^-11 sqrt(2 K / 3); 7 of them.
  //
  // With sums of weights, up = 2: of an output's 4 sums per input channel one is a single weight, exact, two
  // have variance 2, one 4. Each is rounded by up to its unit roundoff, sigma u / sqrt(3), so that the errors
  // of all products add up to sigma = u sqrt(8 cin / 3); 7 of them.
  static double unit_of(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0; }
  double tolerance(double want) const {
    const double eps = std::numeric_limits<float>::epsilon(),
                 k = double(spec.k) * spec.k * spec.cin + spec.shortcut;
    double slope = 1;
    if (spec.act == Act::prelu)
      for (int c = 0; c < spec.cout; c++) slope = std::max(slope, std::abs(double(slopes[size_t(c)])));
    const double rounded = summed_in_f16 ? 7 * 0x1p-11 * std::sqrt(2 * std::max(k, 48.0) / 3) : 0;
    const double taps =
        weights_summed ? 7 * unit_of(spec.weight) * std::sqrt(8 * std::max(spec.cin, 1) / 3.0) : 0;
    const double stored = largest_sum * unit_of(sums_stored_as);
    const double f32 = 6 * 0.29 * 0.6 * std::sqrt(k) * std::max(4.5 * std::sqrt(k), largest_sum) +
                       std::max(8 * std::sqrt(k) + 8, 2.5 * (largest_sum + 4));
    const double sum =
        (eps * f32 + rounded + taps + stored) * std::max(1.0, std::abs(double(spec.scale))) * slope;
    const double unit = unit_of(spec.y);
    return sum + (std::abs(want) + sum) * unit + (spec.y == DType::f16 ? 0x1p-25 : 0);
  }

  // Empty if y is right everywhere and nothing else was written.
  std::string verdict() {
    y.download();
    const Tensor& t = y.mirror;
    const int px = int(t.px), r = spec.shuffle;
    for (int n = 0; n < t.n; n++)
      for (int row = 0; row < t.h; row++)
        for (int col = 0; col < t.w; col++)
          for (int c = -spec.y_first; c < px - spec.y_first; c++) {
            const float got = cuda::load_element(t, n * t.image + row * t.row + col * t.px + c);
            const bool inside = c >= 0 && c < t.c && row / r >= spec.row_begin && row / r < spec.row_end;
            const double want = inside ? expected[size_t(n)][(size_t(row) * t.w + col) * t.c + c] : NAN;
            if (inside ? !(std::abs(got - want) <= tolerance(want)) : !std::isnan(got)) {
              std::ostringstream o;
              o << "image " << n << " y " << row << " x " << col << " c " << c << ": got " << got
                << ", expected " << want << " +- " << tolerance(want);
              return o.str();
            }
          }
    return {};
  }
};

}  // namespace ups::testing
