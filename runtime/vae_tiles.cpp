// ComfyUI's tiles: positions, feathering, division by the summed weights, the mean of three shapes.
#include "runtime/vae_tiles.h"

#include <algorithm>

#include "kernels/convert.h"
#include "kernels/error.h"

namespace ups {
namespace {

struct Shape {
  int h, w;
};

std::vector<int> positions(int size, int tile, int overlap) {
  std::vector<int> at;
  if (size <= tile) return {0};
  for (int p = 0; p < size - overlap; p += tile - overlap)
    at.push_back(std::max(0, std::min(size - overlap, p)));
  return at;
}

// Divides the progress of a run among the tiles of all its passes, by their areas. size, overlap: as
// add_pass.
class TileProgress {
 public:
  TileProgress(const Progress& report, Extent size, const std::vector<Shape>& shapes, int overlap)
      : report_(report) {
    const auto computed = [&](int all, int tile) {
      double sum = 0;
      for (int p : positions(all, tile, overlap)) sum += std::min(tile, all - p);
      return sum;
    };
    for (const Shape& s : shapes) all_ += computed(size.h, s.h) * computed(size.w, s.w);
  }

  // Of the next tile.
  Progress next(int h, int w) {
    const double from = done_, share = double(h) * w / all_;
    done_ += share;
    if (!report_) return {};
    return [this, from, share](double done) { report_(std::min(1.0, from + done * share)); };
  }

 private:
  const Progress& report_;
  double all_ = 0, done_ = 0;
};

// Weight of pixel i of a tile of n: a ramp of `feather` steps at both ends, also at the border of the
// picture; none where the tile is not longer than the ramp.
float weight(int i, int n, int feather) {
  if (feather >= n) return 1;
  float w = 1;
  if (i < feather) w *= float(i + 1) / float(feather);
  if (n - 1 - i < feather) w *= float(n - i) / float(feather);
  return w;
}

// Accumulates one pass. size, tile, overlap: of the input; up / down: from there to the output [c, h, w].
// run(y, x, h, w) gives the output of an input tile, planar.
template <class Run>
void add_pass(Extent size, Shape tile, int overlap, int up, int down, int c, std::vector<float>& sum,
              Run&& run) {
  const Extent out{size.h * up / down, size.w * up / down};
  std::vector<float> pass(size_t(out.pixels()) * c), total(size_t(out.pixels()));
  const int feather = overlap * up / down;
  for (int y : positions(size.h, tile.h, overlap))
    for (int x : positions(size.w, tile.w, overlap)) {
      const int h = std::min(tile.h, size.h - y), w = std::min(tile.w, size.w - x);
      const std::vector<float> part = run(y, x, h, w);
      const int oh = h * up / down, ow = w * up / down, oy = y * up / down, ox = x * up / down;
      for (int i = 0; i < oh; i++)
        for (int j = 0; j < ow; j++) {
          const float by = weight(i, oh, feather) * weight(j, ow, feather);
          const int64_t at = int64_t(oy + i) * out.w + ox + j;
          total[size_t(at)] += by;
          for (int k = 0; k < c; k++)
            pass[size_t(k * out.pixels() + at)] += by * part[(size_t(k) * oh + i) * ow + j];
        }
    }
  for (int k = 0; k < c; k++)
    for (int64_t i = 0; i < out.pixels(); i++)
      sum[size_t(k * out.pixels() + i)] += pass[size_t(k * out.pixels() + i)] / total[size_t(i)];
}

std::vector<Shape> shapes(VaeTiling tiling, int tile) {
  if (tiling == VaeTiling::feather) return {{tile, tile}};
  return {{tile * 2, tile / 2}, {tile / 2, tile * 2}, {tile, tile}};
}

// In units of the factor, for pictures and latents alike.
struct Tiles {
  int tile, overlap;
};

Tiles tiles_of(const Autoencoder& a, const VaeTileOptions& o, int default_overlap) {
  constexpr int kMostTile = 1 << 24;  // beyond any picture, and twice it is still an int
  const int f = a.networks().factor, overlap_px = o.overlap_px > 0 ? o.overlap_px : default_overlap;
  const int tile_px = std::min(o.tile_px, kMostTile);
  const Tiles t{tile_px / f, std::min(overlap_px, tile_px / 4) / f};
  check(o.tile_px > 0 && o.overlap_px >= 0 && t.tile / 2 > t.overlap && t.overlap >= 1, Code::usage,
        "autoencoder: got tiles of ", o.tile_px, " px with an overlap of ", overlap_px,
        ", expected at least ", 4 * f, " px and more than twice the overlap");
  return t;
}

}  // namespace

Latent encode_tiled(Autoencoder& a, const Image& picture, Fit fit, std::optional<uint64_t> seed,
                    const VaeTileOptions& o, Pool& pool, const Progress& progress) {
  if (o.tiling == VaeTiling::exact) return a.encode(picture, fit, seed, progress);
  const int f = a.networks().factor, c = a.networks().latent_c;
  const Tiles t = tiles_of(a, o, 64);
  const Extent whole = a.fitted(picture.extent(), fit);
  const int y0 = fit == Fit::crop ? (picture.h - whole.h) / 2 : 0,
            x0 = fit == Fit::crop ? (picture.w - whole.w) / 2 : 0;
  std::vector<float> rgb;
  Latent l;
  l.c = c, l.h = whole.h / f, l.w = whole.w / f, l.picture = fit == Fit::crop ? Extent{} : picture.extent();
  l.v.assign(size_t(l.count()), 0.0f);
  const std::vector<Shape> all = shapes(o.tiling, t.tile * f);
  TileProgress tiles(progress, whole, all, t.overlap * f);
  for (const Shape& s : all)
    add_pass(whole, s, t.overlap * f, 1, f, c, l.v, [&](int y, int x, int h, int w) {
      rgb.resize(size_t(h) * w * 3);
      crop_tile(picture, y0 + y, x0 + x, picture.c >= 3 ? kFirst3 : kGrayTo3, dense_f32(rgb.data(), h, w, 3),
                pool);
      return a.encode(f32_image(rgb.data(), {h, w}, 3), Fit::pad, seed, tiles.next(h, w)).v;
    });
  for (float& v : l.v) v /= float(all.size());
  return l;
}

void decode_tiled(Autoencoder& a, const Latent& latent, float* rgb, const VaeTileOptions& o,
                  const Progress& progress) {
  if (o.tiling == VaeTiling::exact) return a.decode(latent, rgb, progress);
  const int f = a.networks().factor;
  const Tiles t = tiles_of(a, o, 128);
  const int64_t pixels = int64_t(latent.h) * f * latent.w * f;
  std::vector<float> planes(size_t(pixels) * 3), part;
  const std::vector<Shape> all = shapes(o.tiling, t.tile);
  TileProgress tiles(progress, latent.extent(), all, t.overlap);
  for (const Shape& s : all)
    add_pass(latent.extent(), s, t.overlap, f, 1, 3, planes, [&](int y, int x, int h, int w) {
      Latent cut;
      cut.c = latent.c, cut.h = h, cut.w = w;
      for (int k = 0; k < latent.c; k++)
        for (int i = 0; i < h; i++) {
          const float* row = latent.v.data() + (int64_t(k) * latent.h + y + i) * latent.w + x;
          cut.v.insert(cut.v.end(), row, row + w);
        }
      const int64_t n = int64_t(h) * f * w * f;
      part.resize(size_t(n) * 3);
      a.decode(cut, part.data(), tiles.next(h, w));
      std::vector<float> planar(size_t(n) * 3);
      for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) planar[size_t(k * n + i)] = part[size_t(i * 3 + k)];
      return planar;
    });
  for (int64_t i = 0; i < pixels; i++)
    for (int k = 0; k < 3; k++) rgb[i * 3 + k] = planes[size_t(k * pixels + i)] / float(all.size());
}

}  // namespace ups
