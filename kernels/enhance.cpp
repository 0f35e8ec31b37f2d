// Kernels and blends in batches of rows: the originals of a batch are copied aside, results go back in place.
// This file is compiled without contraction of a * b + c: Pillow rounds each product.
#include "kernels/enhance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/error.h"

namespace ups {
namespace {

constexpr int kBatch = 32;  // rows

uint8_t truncated(float v) { return uint8_t(v <= 0 ? 0 : v >= 255 ? 255 : v); }

uint8_t blended(uint8_t degenerate, uint8_t v, float factor) {
  return truncated(float(degenerate) + factor * float(int(v) - int(degenerate)));
}

uint8_t gray_of(const uint8_t* rgb) {
  return uint8_t((uint32_t(rgb[0]) * 19595 + uint32_t(rgb[1]) * 38470 + uint32_t(rgb[2]) * 7471 + 0x8000) >>
                 16);
}

// A square kernel, its rows from the lowest to the highest, as Pillow sums them.
struct Weights {
  int radius;
  float k[25];
  float offset;
};

Weights weights_of(Kernel kernel) {
  auto scaled = [](int radius, const int* values, float divisor, float offset) {
    Weights w{radius, {}, offset + 0.5f};
    for (int i = 0; i < (2 * radius + 1) * (2 * radius + 1); i++) w.k[i] = float(values[i]) / divisor;
    return w;
  };
  static const int kSmooth[9] = {1, 1, 1, 1, 5, 1, 1, 1, 1};
  static const int kDetail[9] = {0, -1, 0, -1, 10, -1, 0, -1, 0};
  static const int kContour[9] = {-1, -1, -1, -1, 8, -1, -1, -1, -1};
  static const int kBlur[25] = {1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1};
  switch (kernel) {
    case Kernel::smooth:
      return scaled(1, kSmooth, 13, 0);
    case Kernel::detail:
      return scaled(1, kDetail, 6, 0);
    case Kernel::blur:
      return scaled(2, kBlur, 16, 0);
    default:
      return scaled(1, kContour, 1, 255);
  }
}

// One filtered row without its `radius` outermost pixels. rows[j]: the original row y + radius - j.
template <int R>
void convolve(const uint8_t* const* rows, const Weights& w, int width, int c, uint8_t* out) {
  constexpr int n = 2 * R + 1;
  for (int i = R * c; i < (width - R) * c; i++) {
    float sum = w.offset;
    for (int j = 0; j < n; j++) {
      const uint8_t* x = rows[j] + i - R * c;
      float part = float(x[0]) * w.k[j * n];
      for (int l = 1; l < n; l++) part += float(x[l * c]) * w.k[j * n + l];
      sum += part;
    }
    out[i] = truncated(sum);
  }
}

// Calls fn(rows, y) for each row y that has `radius` rows above and below; rows as in convolve. fn may write
// row y of the picture.
template <class Fn>
void for_rows(uint8_t* picture, Extent size, int c, int radius, Pool& pool, const Fn& fn) {
  const size_t row = size_t(size.w) * c;
  std::vector<uint8_t> copy(row * (kBatch + 2 * radius));
  for (int y0 = radius; y0 < size.h - radius; y0 += kBatch) {
    const int n = std::min(kBatch, size.h - radius - y0);
    if (y0 == radius)
      std::memcpy(copy.data(), picture, row * 2 * radius);
    else
      std::memmove(copy.data(), copy.data() + row * kBatch, row * 2 * radius);
    std::memcpy(copy.data() + row * 2 * radius, picture + row * (y0 + radius), row * n);
    pool.for_each(n, [&](int i, int) {
      const uint8_t* rows[5];
      for (int j = 0; j <= 2 * radius; j++) rows[j] = copy.data() + row * (i + 2 * radius - j);
      fn(rows, y0 + i);
    });
  }
}

void check_picture(Extent size, int c) {
  check(size.h >= 1 && size.w >= 1 && c >= 1 && c <= 4, Code::usage, "filter: got ", size.w, "x", size.h,
        " px of ", c, " channels, expected at least 1x1 of 1 to 4");
}

// An 8-bit box blur along a line: a whole box of 2 r + 1 pixels and a fraction of the two beyond.
struct Box {
  int radius;
  uint32_t whole, edge;  // weights, 2^24 = 1
  explicit Box(float r) : radius(int(r)) {
    whole = uint32_t(float(1 << 24) / (r * 2 + 1));
    edge = ((1u << 24) - uint32_t(radius * 2 + 1) * whole) / 2;
  }
  uint8_t value(uint32_t box, int before, int after) const {
    return uint8_t((box * whole + uint32_t(before + after) * edge + (1u << 23)) >> 24);
  }
};

// The box radius whose threefold blur has the variance of a Gaussian (Gwosdek et al. 2011).
float box_radius(float sigma) {
  const float variance = sigma * sigma / 3;
  const float length = float(std::sqrt(12.0 * variance + 1.0));
  const float l = std::floor((length - 1.0f) / 2.0f);
  const float fraction = (2 * l + 1) * (l * (l + 1) - 3 * variance);
  return l + fraction / (6 * (variance - (l + 1) * (l + 1)));
}

// in and out [n] with `step` between pixels; they must not overlap. Beyond its ends a line goes on as it
// ends.
void blur_line(const uint8_t* in, uint8_t* out, int n, int64_t step, const Box& box) {
  auto at = [&](int i) { return int(in[std::clamp(i, 0, n - 1) * step]); };
  uint32_t sum = 0;
  for (int i = -box.radius; i <= box.radius; i++) sum += uint32_t(at(i));
  for (int i = 0; i < n; i++) {
    const int before = at(i - box.radius - 1), after = at(i + box.radius + 1);
    out[i * step] = box.value(sum, before, after);
    sum += uint32_t(after - at(i - box.radius));
  }
}

// Blurs picture along both axes three times each; `other` is scratch of the same size.
void blur_u8(uint8_t* picture, uint8_t* other, Extent size, int c, float sigma, Pool& pool) {
  const Box box(box_radius(sigma));
  const int64_t row = int64_t(size.w) * c;
  auto along_rows = [&](const uint8_t* in, uint8_t* out) {
    pool.for_each(size.h, [&](int y, int) {
      for (int k = 0; k < c; k++) blur_line(in + y * row + k, out + y * row + k, size.w, c, box);
    });
  };
  auto along_columns = [&](const uint8_t* in, uint8_t* out) {
    constexpr int kColumns = 64;  // per task: a cache line of each row
    pool.for_each(int((row + kColumns - 1) / kColumns), [&](int i, int) {
      for (int64_t x = int64_t(i) * kColumns; x < std::min<int64_t>(row, int64_t(i + 1) * kColumns); x++)
        blur_line(in + x, out + x, size.h, row, box);
    });
  };
  along_rows(picture, other), along_rows(other, picture), along_rows(picture, other);
  along_columns(other, picture), along_columns(picture, other), along_columns(other, picture);
}

}  // namespace

void filter_u8(uint8_t* picture, Extent size, int c, Kernel kernel, Pool& pool) {
  check_picture(size, c);
  const Weights w = weights_of(kernel);
  const int64_t row = int64_t(size.w) * c;
  for_rows(picture, size, c, w.radius, pool, [&](const uint8_t* const* rows, int y) {
    uint8_t* out = picture + y * row;
    w.radius == 1 ? convolve<1>(rows, w, size.w, c, out) : convolve<2>(rows, w, size.w, c, out);
    if (c % 2 == 0)
      for (int64_t i = c - 1; i < row; i += c) out[i] = rows[w.radius][i];
  });
}

void enhance_u8(uint8_t* picture, Extent size, int c, Enhance what, float factor, Pool& pool) {
  check_picture(size, c);
  check(std::isfinite(factor), Code::usage, "enhance: got a factor of ", factor,
        ", expected a finite number");
  if (factor == 1) return;
  const int64_t row = int64_t(size.w) * c;
  const int colours = c <= 2 ? 1 : 3;
  if (what == Enhance::sharpness) {
    const Weights w = weights_of(Kernel::smooth);
    for_rows(picture, size, c, 1, pool, [&](const uint8_t* const* rows, int y) {
      std::vector<uint8_t> smooth(rows[1], rows[1] + row);
      convolve<1>(rows, w, size.w, c, smooth.data());
      uint8_t* out = picture + y * row;
      for (int x = 0; x < size.w; x++)
        for (int k = 0; k < colours; k++)
          out[x * c + k] = blended(smooth[size_t(x) * c + k], rows[1][x * c + k], factor);
    });
    return;
  }
  auto gray_at = [&](const uint8_t* p) { return colours == 1 ? p[0] : gray_of(p); };
  int mean = 0;
  if (what == Enhance::contrast) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < size.pixels(); i++) sum += gray_at(picture + i * c);
    mean = int(double(sum) / double(size.pixels()) + 0.5);
  }
  pool.for_each(size.h, [&](int y, int) {
    uint8_t* p = picture + y * row;
    for (int x = 0; x < size.w; x++, p += c) {
      const uint8_t degenerate = what == Enhance::brightness ? 0
                                 : what == Enhance::contrast ? uint8_t(mean)
                                                             : gray_at(p);
      for (int k = 0; k < colours; k++) p[k] = blended(degenerate, p[k], factor);
    }
  });
}

void unsharp_mask_u8(uint8_t* picture, Extent size, int c, float radius, int percent, int threshold,
                     Pool& pool) {
  check_picture(size, c);
  check(
      radius >= 0 && radius <= 100 && percent >= 0 && percent <= 100000 && threshold >= 0 && threshold <= 255,
      Code::usage, "unsharp mask: got radius ", radius, ", percent ", percent, ", threshold ", threshold,
      ", expected 0 to 100, 0 to 100000 and 0 to 255");
  const size_t bytes = size_t(size.pixels()) * c;
  std::vector<uint8_t> blurred(picture, picture + bytes), scratch(bytes);
  blur_u8(blurred.data(), scratch.data(), size, c, radius, pool);
  const int64_t row = int64_t(size.w) * c;
  pool.for_each(size.h, [&](int y, int) {
    for (int64_t i = y * row; i < (y + 1) * row; i++) {
      if (c % 2 == 0 && i % c == c - 1) continue;
      const int difference = int(picture[i]) - int(blurred[i]);
      if (std::abs(difference) > threshold)
        picture[i] = uint8_t(std::clamp(int(picture[i]) + difference * percent / 100, 0, 255));
    }
  });
}

int64_t enhance_bytes(int w, int c) { return int64_t(w) * c * (kBatch + 4); }

}  // namespace ups
