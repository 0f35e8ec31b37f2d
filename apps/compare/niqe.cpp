// Intermediate planes are float where BasicSR's are, because the deviation of nearly flat places is what
// rounding leaves of a difference of squares. The halved picture is also summed in float, in BasicSR's order
// as far as its BLAS library has one; other sums are double.
#include "apps/compare/niqe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "apps/compare/metrics.h"
#include "apps/compare/npz.h"

namespace ups::apps {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int kHalf = kNiqeFeatures / 2;  // features of one scale

struct Plane {
  int width, height;
  std::vector<float> v;
  Plane(int width, int height) : width(width), height(height), v(size_t(width) * size_t(height)) {}
  float* row(int y) { return v.data() + size_t(width) * size_t(y); }
  const float* row(int y) const { return v.data() + size_t(width) * size_t(y); }
};

// Y in 16..235, rounded half to even, of the part that whole blocks cover.
Plane luma_of(const Image& picture, int border) {
  const Image rgb = rgb_of(picture);
  Plane y((rgb.width - 2 * border) / kNiqeBlock * kNiqeBlock,
          (rgb.height - 2 * border) / kNiqeBlock * kNiqeBlock);
  for (int row = 0; row < y.height; row++) {
    const uint8_t* p = rgb.row(row + border) + 3 * size_t(border);
    for (int x = 0; x < y.width; x++, p += 3) {
      const double sum = 24.966 * double(float(p[2]) / 255.f) + 128.553 * double(float(p[1]) / 255.f) +
                         65.481 * double(float(p[0]) / 255.f) + 16;
      y.row(row)[x] = std::nearbyint(float(sum / 255) * 255.f);
    }
  }
  return y;
}

// Mean-subtracted, contrast-normalised: (v - mean) / (deviation + 1) in the window, edges repeated.
Plane normalised(const Plane& in, const std::vector<double>& window) {
  constexpr int r = kNiqeWindow / 2;
  Plane out(in.width, in.height);
  const size_t padded = size_t(in.width) + 2 * r;
  std::vector<double> line(padded), mean(size_t(in.width)), square(size_t(in.width));
  for (int y = 0; y < in.height; y++) {
    std::fill(mean.begin(), mean.end(), 0);
    std::fill(square.begin(), square.end(), 0);
    for (int dy = -r; dy <= r; dy++) {
      const float* from = in.row(std::clamp(y + dy, 0, in.height - 1));
      for (int x = -r; x < in.width + r; x++) line[size_t(x + r)] = from[std::clamp(x, 0, in.width - 1)];
      for (int dx = -r; dx <= r; dx++) {  // a convolution: the window is turned round
        const double w = window[size_t((r - dy) * kNiqeWindow + r - dx)];
        const double* v = line.data() + r + dx;
        for (size_t x = 0; x < size_t(in.width); x++) mean[x] += w * v[x];
        for (size_t x = 0; x < size_t(in.width); x++) square[x] += w * double(float(v[x] * v[x]));
      }
    }
    for (int x = 0; x < in.width; x++) {
      const float m = float(mean[size_t(x)]);
      const float deviation = std::sqrt(std::fabs(float(square[size_t(x)]) - m * m));
      out.row(y)[x] = (in.row(y)[x] - m) / (deviation + 1.f);
    }
  }
  return out;
}

// MATLAB's imresize to half the size: Keys' cubic (a = -0.5) widened twice, eight taps, edges mirrored.
Plane halved(const Plane& in) {
  // Weights that add up to 1, exact in binary.
  constexpr std::array<float, 8> taps = {-3 / 256.f,  -9 / 256.f, 29 / 256.f, 111 / 256.f,
                                         111 / 256.f, 29 / 256.f, -9 / 256.f, -3 / 256.f};
  auto mirrored = [](int i, int n) { return i < 0 ? -1 - i : i >= n ? 2 * n - 1 - i : i; };
  Plane low(in.width, in.height / 2), out(in.width / 2, in.height / 2);
  for (int y = 0; y < low.height; y++) {
    for (int x = 0; x < in.width; x++) {
      float v = 0;
      for (int k = 0; k < 8; k++)
        v += taps[size_t(k)] * (in.row(mirrored(2 * y - 3 + k, in.height))[x] / 255.f);
      low.row(y)[x] = v;
    }
  }
  for (int y = 0; y < out.height; y++) {
    for (int x = 0; x < out.width; x++) {
      float v = 0;
      for (int k = 0; k < 8; k++) v += taps[size_t(k)] * low.row(y)[mirrored(2 * x - 3 + k, in.width)];
      out.row(y)[x] = v * 255.f;
    }
  }
  return out;
}

// Asymmetric generalised Gaussian: its shape and the scales of both sides.
struct Aggd {
  double alpha, left, right;
};

constexpr double kLeastShape = 0.2, kShapeStep = 0.001;
constexpr int kShapes = 9801;  // up to 10

Aggd fit_aggd(const float* v, size_t n) {
  // Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)), which grows with a.
  static const std::vector<double> ratio = [] {
    std::vector<double> r;
    for (int i = 0; i < kShapes; i++) {
      const double a = kLeastShape + i * kShapeStep, g = std::tgamma(2 / a);
      r.push_back(g * g / (std::tgamma(1 / a) * std::tgamma(3 / a)));
    }
    return r;
  }();
  double left = 0, right = 0, magnitude = 0;
  size_t below = 0, above = 0;
  for (size_t i = 0; i < n; i++) {
    const double x = v[i], square = x * x;
    magnitude += std::fabs(x);
    if (x < 0)
      left += square, below++;
    else if (x > 0)
      right += square, above++;
  }
  if (!below || !above) {  // a flat block: no scale on one side
    return {kLeastShape,
            below ? std::sqrt(left / double(below)) * std::sqrt(std::tgamma(5) / std::tgamma(15)) : kNan,
            above ? std::sqrt(right / double(above)) * std::sqrt(std::tgamma(5) / std::tgamma(15)) : kNan};
  }
  const double count = double(n), l = std::sqrt(left / double(below)), r = std::sqrt(right / double(above));
  const double g = l / r, mean = magnitude / count;
  const double wanted =
      mean * mean / ((left + right) / count) * (g * g * g + 1) * (g + 1) / ((g * g + 1) * (g * g + 1));
  size_t at = size_t(std::lower_bound(ratio.begin(), ratio.end(), wanted) - ratio.begin());
  at = std::min(at, ratio.size() - 1);
  if (at > 0 && wanted - ratio[at - 1] <= ratio[at] - wanted) at--;
  const double a = kLeastShape + double(at) * kShapeStep;
  const double scale = std::sqrt(std::tgamma(1 / a) / std::tgamma(3 / a));
  return {a, l * scale, r * scale};
}

using Features = std::array<double, kHalf>;

Features features_of(const Plane& p, int x0, int y0, int side) {
  const size_t n = size_t(side) * size_t(side);
  std::vector<float> block(n), product(n);
  for (int y = 0; y < side; y++)
    std::copy_n(p.row(y0 + y) + x0, side, block.data() + size_t(y) * size_t(side));
  Features f;
  Aggd fit = fit_aggd(block.data(), n);
  f[0] = fit.alpha, f[1] = (fit.left + fit.right) / 2;
  size_t at = 2;
  // Products with the neighbours left, above, above left and above right, the block continued periodically.
  for (const auto& [dy, dx] : {std::pair{0, 1}, {1, 0}, {1, 1}, {1, -1}}) {
    for (int y = 0; y < side; y++) {
      for (int x = 0; x < side; x++) {
        const int ny = (y - dy + side) % side, nx = (x - dx + side) % side;
        product[size_t(y * side + x)] = block[size_t(y * side + x)] * block[size_t(ny * side + nx)];
      }
    }
    fit = fit_aggd(product.data(), n);
    f[at++] = fit.alpha;
    f[at++] = (fit.right - fit.left) * (std::tgamma(2 / fit.alpha) / std::tgamma(1 / fit.alpha));
    f[at++] = fit.left;
    f[at++] = fit.right;
  }
  return f;
}

// x with A x = b for a symmetric positive definite A; empty for another.
std::vector<double> solve(std::vector<double> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j <= i; j++) {
      double s = a[i * n + j];
      for (size_t k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
      if (i == j && !(s > 0)) return {};
      a[i * n + j] = i == j ? std::sqrt(s) : s / a[j * n + j];
    }
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < i; k++) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; k++) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

}  // namespace

NiqeParameters read_niqe_parameters(std::string_view npz, const std::string& file) {
  return {npz_array(npz, "mu_pris_param", 1, kNiqeFeatures, file),
          npz_array(npz, "cov_pris_param", kNiqeFeatures, kNiqeFeatures, file),
          npz_array(npz, "gaussian_window", kNiqeWindow, kNiqeWindow, file)};
}

std::optional<double> niqe(const Image& picture, int border, const NiqeParameters& parameters) {
  constexpr size_t n = kNiqeFeatures;
  if (picture.width - 2 * border < kNiqeBlock || picture.height - 2 * border < kNiqeBlock)
    return std::nullopt;
  Plane plane = luma_of(picture, border);
  const int across = plane.width / kNiqeBlock, down = plane.height / kNiqeBlock;
  std::vector<std::array<double, n>> blocks(size_t(across) * size_t(down));
  for (int scale = 0; scale < 2; scale++) {
    const Plane p = normalised(plane, parameters.window);
    const int side = kNiqeBlock >> scale;
    for (size_t b = 0; b < blocks.size(); b++) {
      const Features f = features_of(p, int(b % size_t(across)) * side, int(b / size_t(across)) * side, side);
      std::copy(f.begin(), f.end(), blocks[b].begin() + scale * kHalf);
    }
    if (scale == 0) plane = halved(plane);
  }
  // The mean takes every number there is, the covariance only blocks that are complete (MATLAB's nancov).
  std::vector<double> difference(n), covariance(n * n), centre(n);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    size_t count = 0;
    for (const auto& b : blocks)
      if (!std::isnan(b[i])) sum += b[i], count++;
    difference[i] = parameters.mean[i] - sum / double(count);
  }
  std::erase_if(blocks, [](const auto& b) {
    return std::any_of(b.begin(), b.end(), [](double v) { return std::isnan(v); });
  });
  if (blocks.size() < 2) return std::nullopt;
  for (const auto& b : blocks)
    for (size_t i = 0; i < n; i++) centre[i] += b[i] / double(blocks.size());
  for (const auto& b : blocks)
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++)
        covariance[i * n + j] += (b[i] - centre[i]) * (b[j] - centre[j]) / double(blocks.size() - 1);
  for (size_t i = 0; i < n * n; i++) covariance[i] = (covariance[i] + parameters.covariance[i]) / 2;
  const std::vector<double> solved = solve(covariance, difference);
  double square = 0;
  for (size_t i = 0; i < solved.size(); i++) square += difference[i] * solved[i];
  if (solved.empty() || !std::isfinite(square)) return std::nullopt;
  return std::sqrt(std::max(square, 0.0));
}

}  // namespace ups::apps
