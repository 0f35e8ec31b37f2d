// Statistics of the reference, kept; those of a picture, taken when it is corrected.
#include "runtime/colour_fix.h"

#include <algorithm>
#include <cmath>

#include "kernels/resize.h"
#include "runtime/loop_rows.h"

namespace ups {
namespace {

constexpr int kLevels = 65536;
constexpr int kCell = 8;  // reference pixels per side of a cell of lowfreq

Extent grid_of(Extent e) {
  return {std::max(1, (e.h + kCell - 1) / kCell), std::max(1, (e.w + kCell - 1) / kCell)};
}

int level_of(float v) {
  v = v > 0 ? v : 0;  // NaN too
  return int(std::min(v, 1.0f) * float(kLevels - 1) + 0.5f);
}

std::vector<float> averaged(const Image& picture, Extent grid, int colours, Pool& pool) {
  std::vector<float> out(size_t(grid.pixels()) * colours);
  RowResizer resizer(picture.h, picture.w, grid.h, grid.w, colours, Filter::box);
  rows_of(picture, colours, pool, [&](int, int n, const float* rows) {
    resizer.push(rows, n, pool, [&](int y, int count, const float* cells) {
      const size_t row = size_t(grid.w) * colours;
      std::copy(cells, cells + size_t(count) * row, out.begin() + ptrdiff_t(size_t(y) * row));
    });
  });
  return out;
}

std::vector<double> means(const Image& picture, int colours, Pool& pool) {
  std::vector<double> sum(static_cast<size_t>(colours));
  rows_of(picture, colours, pool, [&](int, int n, const float* rows) {
    for (int64_t i = 0, pixels = int64_t(n) * picture.w; i < pixels; i++)
      for (int k = 0; k < colours; k++) sum[size_t(k)] += double(rows[i * colours + k]);
  });
  for (double& s : sum) s /= double(picture.extent().pixels());
  return sum;
}

// How many values are at most each level.
std::vector<uint64_t> cumulated(const Image& picture, int colours, Pool& pool) {
  std::vector<uint64_t> counts(size_t(colours) * kLevels);
  rows_of(picture, colours, pool, [&](int, int n, const float* rows) {
    for (int64_t i = 0, pixels = int64_t(n) * picture.w; i < pixels; i++)
      for (int k = 0; k < colours; k++)
        counts[size_t(k) * kLevels + size_t(level_of(rows[i * colours + k]))]++;
  });
  for (int k = 0; k < colours; k++)
    for (int l = 1; l < kLevels; l++) counts[size_t(k) * kLevels + l] += counts[size_t(k) * kLevels + l - 1];
  return counts;
}

// For each level of `from`, the level of `to` (0..1) at the same quantile: between two levels that occur in
// `to`, linearly; outside them, the nearest.
std::vector<float> mapping(const uint64_t* from, const uint64_t* to) {
  const double from_all = double(from[kLevels - 1]), to_all = double(to[kLevels - 1]);
  std::vector<float> map(kLevels);
  int below = -1, above = 0;  // neighbouring levels that occur in `to`
  while (above < kLevels && to[above] == 0) above++;
  auto next_after = [&](int l) {
    const uint64_t count = to[l];
    for (l++; l < kLevels && to[l] == count; l++) {
    }
    return l;
  };
  for (int l = 0; l < kLevels; l++) {
    const double quantile = double(from[l]) / from_all;
    while (above < kLevels && double(to[above]) / to_all < quantile) below = above, above = next_after(above);
    double level;
    if (above >= kLevels) {
      level = below;
    } else if (below < 0) {
      level = above;
    } else {
      const double q0 = double(to[below]) / to_all, q1 = double(to[above]) / to_all;
      level = below + (above - below) * (quantile - q0) / (q1 - q0);
    }
    map[size_t(l)] = float(level / (kLevels - 1));
  }
  return map;
}

}  // namespace

ColourAnchor::ColourAnchor(const Image& reference, int colours, ColourFix fix, Pool& pool)
    : fix_(fix), colours_(colours) {
  if (fix == ColourFix::lowfreq) {
    grid_ = grid_of(reference.extent());
    coarse_ = averaged(reference, grid_, colours, pool);
  } else if (fix == ColourFix::mean) {
    mean_ = means(reference, colours, pool);
  } else if (fix == ColourFix::histogram) {
    counts_ = cumulated(reference, colours, pool);
  }
}

void ColourAnchor::apply(float* picture, Extent size, int c, Pool& pool) const {
  if (fix_ == ColourFix::lowfreq) apply_lowfreq(picture, size, c, pool);
  if (fix_ == ColourFix::mean) apply_mean(picture, size, c, pool);
  if (fix_ == ColourFix::histogram) apply_histogram(picture, size, c, pool);
}

void ColourAnchor::apply_lowfreq(float* picture, Extent size, int c, Pool& pool) const {
  std::vector<float> difference = averaged(f32_image(picture, size, c), grid_, colours_, pool);
  for (size_t i = 0; i < difference.size(); i++) difference[i] = coarse_[i] - difference[i];
  RowResizer resizer(grid_.h, grid_.w, size.h, size.w, colours_, Filter::bilinear);
  resizer.push(difference.data(), grid_.h, pool, [&](int y, int n, const float* rows) {
    float* p = picture + int64_t(y) * size.w * c;
    for (int64_t i = 0, pixels = int64_t(n) * size.w; i < pixels; i++)
      for (int k = 0; k < colours_; k++) p[i * c + k] += rows[i * colours_ + k];
  });
}

void ColourAnchor::apply_mean(float* picture, Extent size, int c, Pool& pool) const {
  const std::vector<double> mean = means(f32_image(picture, size, c), colours_, pool);
  float shift[3] = {};
  for (int k = 0; k < colours_; k++) shift[k] = float(mean_[size_t(k)] - mean[size_t(k)]);
  for (int64_t i = 0; i < size.pixels(); i++)
    for (int k = 0; k < colours_; k++) picture[i * c + k] += shift[k];
}

void ColourAnchor::apply_histogram(float* picture, Extent size, int c, Pool& pool) const {
  const std::vector<uint64_t> counts = cumulated(f32_image(picture, size, c), colours_, pool);
  for (int k = 0; k < colours_; k++) {
    const std::vector<float> map =
        mapping(counts.data() + size_t(k) * kLevels, counts_.data() + size_t(k) * kLevels);
    for (int64_t i = 0; i < size.pixels(); i++) {
      float& v = picture[i * c + k];
      v = map[size_t(level_of(v))];
    }
  }
}

int64_t ColourAnchor::bytes_for(Extent reference, Extent size, int colours, ColourFix fix) {
  const int64_t rows =
      int64_t(kRowsAtOnce) * std::max(reference.w, size.w) * colours * int64_t(sizeof(float));
  if (fix == ColourFix::lowfreq) {
    const Extent grid = grid_of(reference);
    const int64_t averaging =
        std::max(int64_t(RowResizer(reference.h, reference.w, grid.h, grid.w, colours, Filter::box).bytes()),
                 int64_t(RowResizer(size.h, size.w, grid.h, grid.w, colours, Filter::box).bytes()));
    const int64_t spreading =
        int64_t(RowResizer(grid.h, grid.w, size.h, size.w, colours, Filter::bilinear).bytes());
    return rows + std::max(averaging, spreading) + 2 * grid.pixels() * colours * int64_t(sizeof(float));
  }
  if (fix == ColourFix::histogram)
    return rows + int64_t(2 * colours + 1) * kLevels * int64_t(sizeof(uint64_t));
  return fix == ColourFix::none ? 0 : rows;
}

}  // namespace ups
