// Aspect ratios, limits, multiples, fits.
#include "apps/size.h"

#include <algorithm>
#include <cmath>

namespace ups::apps {
namespace {

int side(double v) { return int(std::clamp(std::floor(v + 0.5), 1.0, double(1 << 30))); }

int to_multiple(int v, int n) { return std::max(1, int((int64_t(v) + n / 2) / n)) * n; }

}  // namespace

SizePlan plan_size(const SizeRequest& r, int in_width, int in_height, double default_scale) {
  const double w = in_width, h = in_height;
  SizePlan p;
  // The box asked for, as real numbers while the aspect is kept.
  double f = r.scale > 0 ? r.scale : default_scale;
  double bw = w * f, bh = h * f;
  bool box = r.width && r.height;
  Fit fit = r.fit;
  if (box) {
    bw = r.width, bh = r.height;
    if (fit == Fit::inside || fit == Fit::outside) {
      double fx = bw / w, fy = bh / h;
      f = fit == Fit::inside ? std::min(fx, fy) : std::max(fx, fy);
      bw = w * f, bh = h * f;
    }
  } else if (r.width || r.height || r.long_side || r.short_side || r.megapixels > 0) {
    f = r.width        ? r.width / w
        : r.height     ? r.height / h
        : r.long_side  ? r.long_side / std::max(w, h)
        : r.short_side ? r.short_side / std::min(w, h)
                       : std::sqrt(r.megapixels * 1e6 / (w * h));
    bw = w * f, bh = h * f;
  }
  if (r.max_side && std::max(side(bw), side(bh)) > r.max_side) {
    double limit = r.max_side / std::max(bw, bh);
    bw *= limit, bh *= limit;
  }
  p.width = side(bw), p.height = side(bh);
  bool stretched = box && fit == Fit::fill;
  if (r.multiple_of > 1) {
    p.width = to_multiple(p.width, r.multiple_of), p.height = to_multiple(p.height, r.multiple_of);
    if (r.max_side) {  // the limit stands where a multiple below it exists
      int most = std::max(r.max_side / r.multiple_of, 1) * r.multiple_of;
      p.width = std::min(p.width, most), p.height = std::min(p.height, most);
    }
    stretched = stretched || !box || fit == Fit::inside || fit == Fit::outside;
  }
  p.picture_width = p.width, p.picture_height = p.height;
  if (box && !stretched && (fit == Fit::cover || fit == Fit::contain)) {
    double fx = p.width / w, fy = p.height / h;
    double g = fit == Fit::cover ? std::max(fx, fy) : std::min(fx, fy);
    p.picture_width = g == fx ? p.width : side(w * g);
    p.picture_height = g == fy ? p.height : side(h * g);
    if (fit == Fit::cover) {  // rounding must not leave a gap
      p.picture_width = std::max(p.picture_width, p.width);
      p.picture_height = std::max(p.picture_height, p.height);
    }
    p.x = int(std::lround((p.width - p.picture_width) * r.gravity_x));
    p.y = int(std::lround((p.height - p.picture_height) * r.gravity_y));
  }
  return p;
}

std::optional<double> single_factor(int in_width, int in_height, int out_width, int out_height) {
  double low = std::max((out_width - 0.5) / in_width, (out_height - 0.5) / in_height);
  double high = std::min((out_width + 0.5) / in_width, (out_height + 0.5) / in_height);
  if (!(low < high)) return std::nullopt;
  // The roundest of the candidates first: 2 and not 2.0003.
  for (double f : {double(out_width) / in_width, double(out_height) / in_height, (low + high) / 2}) {
    if (f > low && f < high) return f;
  }
  return std::nullopt;
}

}  // namespace ups::apps
