// Sums in double precision, row by row: beside the pictures a few rows are in memory.
#include "apps/compare/metrics.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr int kWindow = 11;
constexpr double kSigma = 1.5, kC1 = 0.01 * 255 * 0.01 * 255, kC2 = 0.03 * 255 * 0.03 * 255;

constexpr int kChannels = 4;  // R, G, B and Y

double luma(const uint8_t* p) { return 16 + (65.481 * p[0] + 128.553 * p[1] + 24.966 * p[2]) / 255; }

double psnr_of(double mse) {
  return mse == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(255.0 * 255.0 / mse);
}

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> w{};
  double sum = 0;
  for (int i = 0; i < kWindow; i++) {
    const double d = i - kWindow / 2;
    sum += w[size_t(i)] = std::exp(-d * d / (2 * kSigma * kSigma));
  }
  for (double& v : w) v /= sum;
  return w;
}

// The last rows of both pictures, as many as the window has, one channel after the other, 0..255.
class Rows {
 public:
  explicit Rows(int width) : width_(size_t(width)), values_(2 * kWindow * kChannels * width_) {}
  double* row(int picture, int y, int channel) {
    const size_t slot = size_t((picture * kWindow + y % kWindow) * kChannels + channel);
    return values_.data() + width_ * slot;
  }

 private:
  size_t width_;
  std::vector<double> values_;
};

// Wang et al. 2004: Gaussian window of 11 pixels, only where it fits, biased variances; the sum of the map
// over the row of windows that ends with row y.
double ssim_sum(Rows& rows, int y, int channel, size_t width, std::vector<std::array<double, 5>>& column) {
  static const std::array<double, kWindow> w = gaussian();
  // Weighted sums of a, b, a^2, b^2, ab down the window.
  std::fill(column.begin(), column.end(), std::array<double, 5>{});
  for (int k = 0; k < kWindow; k++) {
    const int from = y - (kWindow - 1) + k;
    const double *a = rows.row(0, from, channel), *b = rows.row(1, from, channel);
    for (size_t x = 0; x < width; x++) {
      const double wa = w[size_t(k)] * a[x], wb = w[size_t(k)] * b[x];
      column[x][0] += wa, column[x][1] += wb;
      column[x][2] += wa * a[x], column[x][3] += wb * b[x], column[x][4] += wa * b[x];
    }
  }
  double total = 0;
  for (size_t x = 0; x + kWindow <= width; x++) {
    std::array<double, 5> m{};
    for (size_t k = 0; k < kWindow; k++)
      for (size_t i = 0; i < 5; i++) m[i] += w[k] * column[x + k][i];
    const double aa = m[2] - m[0] * m[0], bb = m[3] - m[1] * m[1], ab = m[4] - m[0] * m[1];
    total += (2 * m[0] * m[1] + kC1) * (2 * ab + kC2) / ((m[0] * m[0] + m[1] * m[1] + kC1) * (aa + bb + kC2));
  }
  return total;
}

double sample_255(const Image& image, int y, size_t i) {
  const uint8_t* row = image.row(y);
  switch (image.depth) {
    case UPS_U8:
      return row[i];
    case UPS_U16:
      return reinterpret_cast<const uint16_t*>(row)[i] / 257.0;
    default:
      return 255.0 * double(reinterpret_cast<const float*>(row)[i]);
  }
}

// Channel c of RGBA, whatever the picture's channels: gray is R = G = B, without alpha it is opaque.
double channel_255(const Image& image, int x, int y, int c) {
  const int n = image.channels;
  if (c == 3 && n % 2 == 1) return 255;
  const int k = c == 3 ? n - 1 : n <= 2 ? 0 : c;
  return sample_255(image, y, size_t(x) * size_t(n) + size_t(k));
}

// Row y as 8-bit RGB.
void rgb_row(const Image& image, int y, uint8_t* d) {
  for (int x = 0; x < image.width; x++)
    for (int c = 0; c < 3; c++)
      *d++ = uint8_t(std::lround(std::fmin(std::fmax(channel_255(image, x, y, c), 0), 255)));
}

}  // namespace

Image rgb_of(const Image& image) {
  Image out = allocate_image(image.width, image.height, 3, UPS_U8);
  for (int y = 0; y < image.height; y++) rgb_row(image, y, out.row(y));
  return out;
}

Difference difference(const Image& a, const Image& b, int border) {
  if (a.width != b.width || a.height != b.height) {
    fail(kUsage, "compare: got pictures of ", a.width, "x", a.height, " and ", b.width, "x", b.height,
         ", expected one size");
  }
  if (a.width <= 2 * border || a.height <= 2 * border)
    fail(kUsage, "compare: a border of ", border, " leaves nothing of ", a.width, "x", a.height, " pixels");
  const int width = a.width - 2 * border, height = a.height - 2 * border;
  const bool windowed = width >= kWindow && height >= kWindow;
  Difference d;
  Rows rows(width);
  std::vector<std::array<double, 5>> column(windowed ? size_t(width) : 0);
  std::vector<uint8_t> rgb(3 * size_t(a.width));
  double squares[kChannels] = {}, ssim[kChannels] = {};
  for (int y = 0; y < height; y++) {
    for (int picture = 0; picture < 2; picture++) {
      rgb_row(picture ? b : a, y + border, rgb.data());
      for (int x = 0; x < width; x++) {
        const uint8_t* p = rgb.data() + 3 * size_t(x + border);
        for (int c = 0; c < kChannels; c++) rows.row(picture, y, c)[x] = c == 3 ? luma(p) : p[c];
      }
    }
    for (int c = 0; c < kChannels; c++) {
      const double *p = rows.row(0, y, c), *q = rows.row(1, y, c);
      for (int x = 0; x < width; x++) squares[c] += (p[x] - q[x]) * (p[x] - q[x]);
      if (windowed && y + 1 >= kWindow) ssim[c] += ssim_sum(rows, y, c, size_t(width), column);
    }
    for (int x = border; x < border + width; x++) {
      for (int c = 0; c < 4; c++) {
        const double v = std::fabs(channel_255(a, x, y + border, c) - channel_255(b, x, y + border, c));
        if (v > d.largest) d.largest = v, d.x = x, d.y = y + border;
      }
    }
  }
  const double pixels = double(width) * height;
  const double windows = double(width - kWindow + 1) * double(height - kWindow + 1);
  d.psnr = psnr_of((squares[0] + squares[1] + squares[2]) / (3 * pixels));
  d.psnr_y = psnr_of(squares[3] / pixels);
  if (windowed) d.ssim = (ssim[0] + ssim[1] + ssim[2]) / (3 * windows), d.ssim_y = ssim[3] / windows;
  return d;
}

}  // namespace ups::apps
