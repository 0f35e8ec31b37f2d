// Sums in double precision; SSIM row by row, so that its memory is a few rows.
#include "apps/metrics.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "apps/failure.h"
#include "apps/pixel_format.h"

namespace ups::apps {
namespace {

constexpr int kWindow = 11;
constexpr double kSigma = 1.5, kC1 = 0.01 * 255 * 0.01 * 255, kC2 = 0.03 * 255 * 0.03 * 255;

// One channel of both pictures, border removed, 0..255.
struct Planes {
  int width, height;
  std::vector<double> a, b;
};

double luma(const uint8_t* p) { return 16 + (65.481 * p[0] + 128.553 * p[1] + 24.966 * p[2]) / 255; }

// channel 0..2, or 3 for Y.
Planes planes_of(const Image& a, const Image& b, int border, int channel) {
  Planes p{a.width - 2 * border, a.height - 2 * border, {}, {}};
  p.a.reserve(size_t(p.width) * p.height);
  p.b.reserve(p.a.capacity());
  for (int y = border; y < a.height - border; y++) {
    for (int x = border; x < a.width - border; x++) {
      const uint8_t *s = a.row(y) + 3 * size_t(x), *t = b.row(y) + 3 * size_t(x);
      p.a.push_back(channel == 3 ? luma(s) : s[channel]);
      p.b.push_back(channel == 3 ? luma(t) : t[channel]);
    }
  }
  return p;
}

double mean_squared_error(const Planes& p) {
  double sum = 0;
  for (size_t i = 0; i < p.a.size(); i++) sum += (p.a[i] - p.b[i]) * (p.a[i] - p.b[i]);
  return sum / double(p.a.size());
}

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

// Wang et al. 2004: Gaussian window of 11 pixels, only where it fits, biased variances, mean of the map.
double ssim_of(const Planes& p) {
  static const std::array<double, kWindow> w = gaussian();
  const size_t width = size_t(p.width);
  std::vector<std::array<double, 5>> column(width);  // weighted sums of a, b, a^2, b^2, ab down the window
  double total = 0;
  for (int y = 0; y + kWindow <= p.height; y++) {
    std::fill(column.begin(), column.end(), std::array<double, 5>{});
    for (int k = 0; k < kWindow; k++) {
      const double *a = p.a.data() + width * size_t(y + k), *b = p.b.data() + width * size_t(y + k);
      for (size_t x = 0; x < width; x++) {
        const double wa = w[size_t(k)] * a[x], wb = w[size_t(k)] * b[x];
        column[x][0] += wa, column[x][1] += wb;
        column[x][2] += wa * a[x], column[x][3] += wb * b[x], column[x][4] += wa * b[x];
      }
    }
    for (size_t x = 0; x + kWindow <= width; x++) {
      std::array<double, 5> m{};
      for (size_t k = 0; k < kWindow; k++)
        for (size_t i = 0; i < 5; i++) m[i] += w[k] * column[x + k][i];
      const double aa = m[2] - m[0] * m[0], bb = m[3] - m[1] * m[1], ab = m[4] - m[0] * m[1];
      total +=
          (2 * m[0] * m[1] + kC1) * (2 * ab + kC2) / ((m[0] * m[0] + m[1] * m[1] + kC1) * (aa + bb + kC2));
    }
  }
  return total / (double(p.width - kWindow + 1) * double(p.height - kWindow + 1));
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

}  // namespace

Image rgb_of(const Image& image) {
  Image out = allocate_image(image.width, image.height, 3, UPS_U8);
  for (int y = 0; y < image.height; y++) {
    uint8_t* d = out.row(y);
    for (int x = 0; x < image.width; x++)
      for (int c = 0; c < 3; c++)
        *d++ = uint8_t(std::lround(std::fmin(std::fmax(channel_255(image, x, y, c), 0), 255)));
  }
  return out;
}

Difference difference(const Image& a, const Image& b, int border) {
  if (a.width != b.width || a.height != b.height) {
    fail(kUsage, "compare: got pictures of ", a.width, "x", a.height, " and ", b.width, "x", b.height,
         ", expected one size");
  }
  if (a.width <= 2 * border || a.height <= 2 * border)
    fail(kUsage, "compare: a border of ", border, " leaves nothing of ", a.width, "x", a.height, " pixels");
  const Image x = rgb_of(a), y = rgb_of(b);
  Difference d;
  double mse = 0, ssim = 0;
  const bool windowed = a.width - 2 * border >= kWindow && a.height - 2 * border >= kWindow;
  for (int c = 0; c < 4; c++) {
    const Planes p = planes_of(x, y, border, c);
    const double e = mean_squared_error(p), s = windowed ? ssim_of(p) : 0;
    if (c == 3) {
      d.psnr_y = psnr_of(e);
      if (windowed) d.ssim_y = s;
    } else {
      mse += e / 3, ssim += s / 3;
    }
  }
  d.psnr = psnr_of(mse);
  if (windowed) d.ssim = ssim;
  for (int row = border; row < a.height - border; row++) {
    for (int column = border; column < a.width - border; column++) {
      for (int c = 0; c < 4; c++) {
        double v = std::fabs(channel_255(a, column, row, c) - channel_255(b, column, row, c));
        if (v > d.largest) d.largest = v, d.x = column, d.y = row;
      }
    }
  }
  return d;
}

}  // namespace ups::apps
