// Each row is blurred along x when it arrives and along y when the rows around it are there.
#include "kernels/sharpen.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace ups {
namespace {

float linear_of(float v) {  // sRGB, IEC 61966-2-1
  v = v > 0 ? std::min(v, 1.0f) : 0;
  return v <= 0.04045f ? v / 12.92f : std::pow((v + 0.055f) / 1.055f, 2.4f);
}

float encoded_of(float v) {
  v = v > 0 ? std::min(v, 1.0f) : 0;
  return v <= 0.0031308f ? v * 12.92f : 1.055f * std::pow(v, 1 / 2.4f) - 0.055f;
}

constexpr float kEpsilon = 216.0f / 24389, kKappa = 24389.0f / 27;

float cube_root_of(float t) {  // CIE 15: f(t)
  return t > kEpsilon ? std::cbrt(t) : (kKappa * t + 16) / 116;
}
float cube_of(float f) {
  const float t = f * f * f;
  return t > kEpsilon ? t : (116 * f - 16) / kKappa;
}

// XYZ of linear RGB, each relative to the white D65.
void xyz_of(const float* rgb, float* xyz) {
  xyz[0] = (0.4124f * rgb[0] + 0.3576f * rgb[1] + 0.1805f * rgb[2]) / 0.950470f;
  xyz[1] = 0.2126f * rgb[0] + 0.7152f * rgb[1] + 0.0722f * rgb[2];
  xyz[2] = (0.0193f * rgb[0] + 0.1192f * rgb[1] + 0.9505f * rgb[2]) / 1.088827f;
}
void rgb_of(const float* relative, float* rgb) {
  const float x = relative[0] * 0.950470f, y = relative[1], z = relative[2] * 1.088827f;
  rgb[0] = 3.240625f * x - 1.537208f * y - 0.498629f * z;
  rgb[1] = -0.968931f * x + 1.875756f * y + 0.041518f * z;
  rgb[2] = 0.055710f * x - 0.204021f * y + 1.056996f * z;
}

float lightness(const float* p, bool gray) {
  if (gray) return 116 * cube_root_of(linear_of(p[0])) - 16;
  const float rgb[3] = {linear_of(p[0]), linear_of(p[1]), linear_of(p[2])};
  float xyz[3];
  xyz_of(rgb, xyz);
  return 116 * cube_root_of(xyz[1]) - 16;
}

// The pixel p with its lightness moved by d, a and b kept.
void move_lightness(const float* p, bool gray, float d, float* out) {
  if (gray) {
    out[0] = encoded_of(cube_of(cube_root_of(linear_of(p[0])) + d / 116));
    return;
  }
  const float rgb[3] = {linear_of(p[0]), linear_of(p[1]), linear_of(p[2])};
  float xyz[3], moved[3];
  xyz_of(rgb, xyz);
  for (float& v : xyz) v = cube_of(cube_root_of(v) + d / 116);
  rgb_of(xyz, moved);
  for (int k = 0; k < 3; k++) out[k] = encoded_of(moved[k]);
}

float added(const Sharpen& s, float d) {
  const double x1 = s.x1;
  double y = d < -x1 ? (d + x1) * s.m2 - x1 * s.m1 : d < x1 ? d * s.m1 : (d - x1) * s.m2 + x1 * s.m1;
  return float(std::clamp(y, -s.y3, s.y2));
}

}  // namespace

std::vector<float> sharpen_weights(const Sharpen& s) {
  auto gauss = [&](double x) { return std::exp(-x * x / (2 * s.sigma * s.sigma)); };
  int radius;
  if (s.kind == Sharpen::Kind::lab) {
    int x = 0;
    for (const int most = int(8 * s.sigma); x < most && gauss(x) >= 0.1; x++) {
    }
    radius = std::max(x - 1, 0);
  } else {
    radius = int(4 * s.sigma + 0.5);
  }
  std::vector<double> w;
  double sum = 0;
  for (int x = -radius; x <= radius; x++) {
    w.push_back(s.kind == Sharpen::Kind::lab ? std::nearbyint(20 * gauss(x)) : gauss(x));
    sum += w.back();
  }
  std::vector<float> out;
  for (double v : w) out.push_back(float(v / sum));
  return out;
}

RowSharpener::RowSharpener(int h, int w, int c, const Sharpen& s) : s_(s), h_(h), w_(w), c_(c) {
  check(h >= 1 && w >= 1 && c >= 1 && c <= 4, Code::usage, "sharpen: got ", w, "x", h, " px of ", c,
        " channels, expected at least 1x1 of 1 to 4");
  check(s.sigma >= 0.01 && s.sigma <= 20, Code::usage, "sharpen: got a sigma of ", s.sigma,
        ", expected 0.01 to 20");
  for (double v : {s.x1, s.y2, s.y3, s.m1, s.m2, s.amount, s.threshold})
    check(v >= 0 && v <= 1e6, Code::usage, "sharpen: got ", v, ", expected 0 to 1000000");
  planes_ = s.kind == Sharpen::Kind::lab || c <= 2 ? 1 : 3;
  weights_ = sharpen_weights(s);
  radius_ = int(weights_.size()) / 2;
  const int64_t row = int64_t(w) * c;
  batch_ = int(std::clamp<int64_t>(65536 / row, 8, 256));
  ring_rows_ = int(std::min<int64_t>(h, 2 * radius_ + 1 + batch_));
  original_.resize(size_t(ring_rows_) * row);
  if (s.kind == Sharpen::Kind::lab) values_.resize(size_t(ring_rows_) * w * planes_);
  blurred_.resize(size_t(ring_rows_) * w * planes_);
  out_.resize(size_t(std::min(h, batch_)) * row);
}

size_t RowSharpener::bytes() const {
  return (original_.size() + values_.size() + blurred_.size() + out_.size() + weights_.size()) *
         sizeof(float);
}

int RowSharpener::inside(int64_t i, int n) const {
  if (s_.kind == Sharpen::Kind::lab) return int(std::clamp<int64_t>(i, 0, n - 1));
  const int64_t period = 2 * int64_t(n);
  const int64_t m = (i % period + period) % period;
  return int(m < n ? m : period - 1 - m);
}

// Blurs the planes of one row along x.
void RowSharpener::blur_row(const float* planes, float* blurred) const {
  std::vector<float> line(size_t(w_ + 2 * radius_) * planes_);
  for (int x = -radius_; x < w_ + radius_; x++) {
    const int64_t from = inside(x, w_);
    for (int k = 0; k < planes_; k++) line[size_t(x + radius_) * planes_ + k] = planes[from * planes_ + k];
  }
  const int64_t n = int64_t(w_) * planes_;
  std::fill(blurred, blurred + n, 0.0f);
  for (size_t t = 0; t < weights_.size(); t++) {
    const float weight = weights_[t];
    const float* from = line.data() + t * planes_;
    for (int64_t i = 0; i < n; i++) blurred[i] += weight * from[i];
  }
}

// Keeps a row, its planes and their blur along x in the rings.
void RowSharpener::take(const float* row, float* original, float* planes) const {
  std::copy(row, row + int64_t(w_) * c_, original);
  for (int x = 0; x < w_; x++) {
    const float* p = row + int64_t(x) * c_;
    if (s_.kind == Sharpen::Kind::lab)
      planes[x] = lightness(p, c_ <= 2);
    else
      for (int k = 0; k < planes_; k++) planes[int64_t(x) * planes_ + k] = p[k];
  }
}

void RowSharpener::finish_row(int y, float* out) const {
  const int64_t n = int64_t(w_) * planes_;
  std::vector<float> blur(static_cast<size_t>(n));
  for (size_t t = 0; t < weights_.size(); t++) {
    const float weight = weights_[t];
    const float* from = blurred_.data() + inside(int64_t(y) + int64_t(t) - radius_, h_) % ring_rows_ * n;
    for (int64_t i = 0; i < n; i++) blur[size_t(i)] += weight * from[i];
  }
  const float* original = original_.data() + int64_t(y % ring_rows_) * w_ * c_;
  std::copy(original, original + int64_t(w_) * c_, out);
  if (s_.kind == Sharpen::Kind::lab) {
    const float* values = values_.data() + y % ring_rows_ * n;
    for (int x = 0; x < w_; x++) {
      const float d =
          std::clamp(values[x] + added(s_, values[x] - blur[size_t(x)]), 0.0f, 100.0f) - values[x];
      if (d != 0) move_lightness(original + int64_t(x) * c_, c_ <= 2, d, out + int64_t(x) * c_);
    }
    return;
  }
  for (int x = 0; x < w_; x++)
    for (int k = 0; k < planes_; k++) {
      float& v = out[int64_t(x) * c_ + k];
      const float d = v - blur[size_t(x) * planes_ + k];
      if (std::abs(d) > float(s_.threshold)) v += float(s_.amount) * d;
    }
}

void RowSharpener::push(const float* rows, int n, Pool& pool, const RowSink& sink) {
  check(n >= 0 && n <= h_ - received_, Code::usage, "sharpen: got ", n, " rows after ", received_,
        ", expected at most ", h_, " in all");
  const int64_t row = int64_t(w_) * c_, plane_row = int64_t(w_) * planes_;
  while (n > 0) {
    const int count = std::min(n, batch_);
    pool.for_each(count, [&](int i, int) {
      const int slot = (received_ + i) % ring_rows_;
      std::vector<float> own;
      if (values_.empty()) own.resize(size_t(plane_row));
      float* planes = values_.empty() ? own.data() : values_.data() + slot * plane_row;
      take(rows + i * row, original_.data() + slot * row, planes);
      blur_row(planes, blurred_.data() + slot * plane_row);
    });
    received_ += count, rows += count * row, n -= count;
    for (;;) {
      const int most = received_ == h_ ? h_ : received_ - radius_;
      const int ready = std::min(most - delivered_, int(out_.size() / size_t(row)));
      if (ready <= 0) break;
      pool.for_each(ready, [&](int i, int) { finish_row(delivered_ + i, out_.data() + i * row); });
      delivered_ += ready;
      sink(delivered_ - ready, ready, out_.data());
    }
  }
}

}  // namespace ups
