// The tile grid, alone and together with cropping and blending.
#include "runtime/tiles.h"

#include <algorithm>
#include <cstring>

#include "kernels/convert.h"
#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

TileRequest random_request(testing::Random& random) {
  TileRequest r;
  r.multiple_of = random.integer(1, 4);
  r.overlap_px = random.integer(0, 12);
  r.halo_px = random.integer(0, r.overlap_px / 2);
  const auto side = [&] {
    const int least =
        (r.overlap_px + r.multiple_of - 1) / r.multiple_of + 1;  // in multiples: longer than the overlap
    return random.integer(0, 9) == 0 ? 0
                                     : (least + random.integer(0, 12)) * r.multiple_of + random.integer(0, 3);
  };
  r.tile = {side(), side()};
  return r;
}

Extent random_image(testing::Random& random) {
  const int primes[] = {1, 2, 3, 7, 31, 61, 97, 127};
  const auto side = [&] {
    return random.integer(0, 1) ? primes[random.integer(0, 7)] : random.integer(1, 130);
  };
  return {side(), side()};
}

std::string text(Extent image, const TileRequest& r) {
  std::ostringstream out;
  out << image.w << "x" << image.h << ", tile " << r.tile.w << "x" << r.tile.h << ", overlap " << r.overlap_px
      << ", halo " << r.halo_px << ", multiple of " << r.multiple_of;
  return out.str();
}

void check_axis(const TileAxis& a, int size, int tile, const TileRequest& r) {
  const int unit = r.multiple_of, padded = (size + unit - 1) / unit * unit;
  const int overlap = (r.overlap_px + unit - 1) / unit * unit;
  const int longest = tile <= 0 ? padded : std::max(unit, tile / unit * unit);
  const int n = a.count();
  REQUIRE(a.size == size);
  REQUIRE(a.tile % unit == 0);
  REQUIRE(a.tile <= std::max(longest, unit));
  REQUIRE(a.first.front() == 0);
  REQUIRE(a.first.back() + a.tile == padded);
  int narrowest = 1 << 30, widest = 0;
  for (int i = 0; i + 1 < n; i++) {
    REQUIRE(a.first[i] % unit == 0);
    REQUIRE(a.first[i + 1] > a.first[i]);
    const int shared = a.first[i] + a.tile - a.first[i + 1];
    REQUIRE(shared >= overlap);
    narrowest = std::min(narrowest, shared);
    widest = std::max(widest, shared);
  }
  if (n > 1) {
    CHECK(widest - narrowest <= unit);                                        // spread evenly
    CHECK(int64_t(n - 1) * longest - int64_t(n - 2) * overlap < padded);      // one tile less does not cover
    CHECK(int64_t(n) * (a.tile - unit) - int64_t(n - 1) * overlap < padded);  // nor does a shorter tile
    CHECK(a.ramp <= r.overlap_px - 2 * r.halo_px);
    if (2 * r.halo_px == r.overlap_px) CHECK(a.ramp == 0);
  }
  for (int scale : {1, 2, 4}) {
    std::vector<float> sum(size_t(size) * scale);
    std::vector<int> tiles(sum.size());
    for (int i = 0; i < n; i++) {
      const Share s = a.share(i, scale);
      REQUIRE(s.up + s.down <= s.size());
      REQUIRE(s.size() <= a.max_share(scale));
      REQUIRE(s.begin >= (i > 0 ? a.first[i] + r.halo_px : 0) * scale);
      REQUIRE(s.end <= (i + 1 < n ? a.first[i] + a.tile - r.halo_px : size) * scale);
      for (int p = s.begin; p < s.end; p++) sum[p] += weight(s, p), tiles[p]++;
      if (i > 0) {
        const Share before = a.share(i - 1, scale);
        REQUIRE(s.begin == before.end - before.down);
        REQUIRE(s.up == before.down);
      }
    }
    for (float w : sum) REQUIRE(w == 1.0f);  // which also says that every pixel is covered
    for (int count : tiles) REQUIRE(count <= 2);
  }
}

// Runs `network` on every tile and joins the results; columns within a row of tiles in random order.
// network(tile [h, w, c] packed) -> [h * scale, w * scale, c] packed.
template <class Network>
std::vector<float> tiled(const std::vector<float>& image, Extent size, int c, int scale, const TileGrid& grid,
                         Pool& pool, testing::Random& random, const Network& network) {
  TileBlender blender(size.w * scale, c);
  std::vector<float> out, lr(size_t(grid.tile().pixels()) * c);
  const ChannelMap all{c, {0, 1, 2, 3}};
  for (int i = 0; i < grid.y.count(); i++) {
    blender.start(grid.y.share(i, scale));
    std::vector<int> order(grid.x.count());
    for (int j = 0; j < grid.x.count(); j++) order[j] = j;
    std::shuffle(order.begin(), order.end(), random.engine);
    for (int j : order) {
      const int y0 = grid.y.first[i], x0 = grid.x.first[j];
      crop_tile(image.data(), size, c, Depth::f32, int64_t(size.w) * c * 4, y0, x0, all,
                dense_f32(lr.data(), grid.y.tile, grid.x.tile, c), pool);
      auto hr = network(lr, grid.tile());
      blender.add(dense_f32(hr.data(), grid.y.tile * scale, grid.x.tile * scale, c), y0 * scale, x0 * scale,
                  grid.x.share(j, scale), pool);
    }
    blender.finish(pool, [&](int y, int n, const float* rows) {
      CHECK(size_t(y) * size.w * scale * c == out.size());
      out.insert(out.end(), rows, rows + size_t(n) * size.w * scale * c);
    });
  }
  REQUIRE(out.size() == size_t(size.pixels()) * scale * scale * c);
  return out;
}

// Nearest-neighbour enlargement: what an identity network of this scale would do.
std::vector<float> enlarged(const std::vector<float>& in, Extent size, int c, int scale) {
  std::vector<float> out;
  for (int y = 0; y < size.h * scale; y++)
    for (int x = 0; x < size.w * scale; x++)
      for (int k = 0; k < c; k++) out.push_back(in[(size_t(y / scale) * size.w + x / scale) * c + k]);
  return out;
}

// `depth` layers of a nonlinear 3x3 filter with zero padding: a receptive field of `depth` px on each side.
std::vector<float> convolved(std::vector<float> in, Extent size, int depth) {
  std::vector<float> out(in.size());
  const auto at = [&](int y, int x) {
    return y < 0 || x < 0 || y >= size.h || x >= size.w ? 0 : in[size_t(y) * size.w + x];
  };
  for (int layer = 0; layer < depth; layer++) {
    for (int y = 0; y < size.h; y++)
      for (int x = 0; x < size.w; x++) {
        float sum = 0.1f;
        for (int dy = -1; dy <= 1; dy++)
          for (int dx = -1; dx <= 1; dx++) sum += at(y + dy, x + dx) * float(0.3 + 0.1 * dy - 0.2 * dx);
        out[size_t(y) * size.w + x] = std::max(0.1f * sum, sum);
      }
    in.swap(out);
  }
  return in;
}

}  // namespace

TEST_CASE("tiles are as few and as small as cover the image", "[runtime][tiles]") {
  UPS_RANDOM(random);
  for (int repeat = 0; repeat < 1500; repeat++) {
    const Extent image = random_image(random);
    const TileRequest request = random_request(random);
    INFO(text(image, request));
    const TileGrid grid = tile_grid(image, request);
    check_axis(grid.y, image.h, request.tile.h, request);
    check_axis(grid.x, image.w, request.tile.w, request);
    CHECK(grid.pixels() == grid.count() * grid.tile().pixels());
  }
}

TEST_CASE("an image within one tile is one tile of its own size", "[runtime][tiles]") {
  const TileGrid small =
      tile_grid({31, 17}, {.tile = {256, 256}, .overlap_px = 32, .halo_px = 8, .multiple_of = 4});
  CHECK(small.count() == 1);
  CHECK(small.tile() == Extent{32, 20});
  CHECK(tile_grid({1, 1}, {.tile = {64, 64}}).tile() == Extent{1, 1});
  const TileGrid whole = tile_grid({5000, 3000}, {.overlap_px = 32});
  CHECK(whole.count() == 1);
  CHECK(whole.tile() == Extent{5000, 3000});
}

TEST_CASE("a one-pixel-high strip is tiled along its length", "[runtime][tiles]") {
  const TileRequest request{.tile = {256, 256}, .overlap_px = 32, .halo_px = 8};
  const TileGrid grid = tile_grid({1, 5000}, request);
  CHECK(grid.y.count() == 1);
  CHECK(grid.y.tile == 1);
  CHECK(grid.x.count() == 23);  // (5000 - 32) / (256 - 32) = 22.2
  CHECK(grid.x.tile == 248);    // (5000 + 22 * 32) / 23 = 247.8
  check_axis(grid.x, 5000, 256, request);
}

TEST_CASE("blend of identity tiles reproduces the image", "[runtime][tiles]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 150; repeat++) {
    const Extent image = random_image(random);
    const TileRequest request = random_request(random);
    INFO(text(image, request));
    const TileGrid grid = tile_grid(image, request);
    const int c = random.integer(1, 4), scale = random.integer(1, 3);
    const auto in = random.normals(size_t(image.pixels()) * c);
    const auto want = enlarged(in, image, c, scale);
    const auto out = tiled(in, image, c, scale, grid, pool, random,
                           [&](const auto& lr, Extent e) { return enlarged(lr, e, c, scale); });
    const bool hard = grid.y.ramp == 0 && grid.x.ramp == 0;
    for (size_t i = 0; i < out.size(); i++) {
      // Four products and three sums of values below |v|: at most 6 roundings of 2^-24.
      const float tolerance = hard ? 0 : 6 * 0x1p-24f * std::abs(want[i]);
      REQUIRE(std::abs(out[i] - want[i]) <= tolerance);
    }
  }
}

TEST_CASE("what a tile computes in its halo is never used", "[runtime][tiles]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 50; repeat++) {
    const Extent image{random.integer(30, 100), random.integer(30, 100)};
    const TileRequest request{.tile = {24, 24}, .overlap_px = 10, .halo_px = 4};
    const TileGrid grid = tile_grid(image, request);
    const std::vector<float> in(size_t(image.pixels()), 1.0f);
    TileBlender blender(image.w, 1);
    for (int i = 0; i < grid.y.count(); i++) {
      blender.start(grid.y.share(i, 1));
      for (int j = 0; j < grid.x.count(); j++) {
        std::vector<float> tile(size_t(grid.tile().pixels()), 1.0f);
        for (int y = 0; y < grid.y.tile; y++)
          for (int x = 0; x < grid.x.tile; x++) {
            const bool halo = (i > 0 && y < 4) || (i + 1 < grid.y.count() && y >= grid.y.tile - 4) ||
                              (j > 0 && x < 4) || (j + 1 < grid.x.count() && x >= grid.x.tile - 4);
            if (halo) tile[y * grid.x.tile + x] = std::numeric_limits<float>::quiet_NaN();
          }
        blender.add(dense_f32(tile.data(), grid.y.tile, grid.x.tile, 1), grid.y.first[i], grid.x.first[j],
                    grid.x.share(j, 1), pool);
      }
      blender.finish(pool, [&](int, int n, const float* rows) {
        for (int p = 0; p < n * image.w; p++) REQUIRE(rows[p] == Approx(1).epsilon(1e-6));
      });
    }
  }
}

TEST_CASE("with a halo of the receptive field tiled is untiled bit for bit", "[runtime][tiles]") {
  UPS_RANDOM(random);
  Pool pool(2);
  int tiles = 0;
  for (int repeat = 0; repeat < 30; repeat++) {
    const int depth = random.integer(1, 4);
    const Extent image{random.integer(1, 80), random.integer(1, 80)};
    const TileRequest request{
        .tile = {random.integer(12, 30), random.integer(12, 30)}, .overlap_px = 2 * depth, .halo_px = depth};
    const TileGrid grid = tile_grid(image, request);
    tiles += int(grid.count());
    const auto in = random.normals(size_t(image.pixels()));
    const auto want = convolved(in, image, depth);
    const auto network = [&](const auto& lr, Extent e) { return convolved(lr, e, depth); };
    const auto out = tiled(in, image, 1, 1, grid, pool, random, network);
    CHECK(std::memcmp(out.data(), want.data(), want.size() * sizeof(float)) == 0);
  }
  CHECK(tiles > 30);
}

TEST_CASE("the order of tiles never changes the result", "[runtime][tiles]") {
  UPS_RANDOM(random);
  Pool one(1), three(3);
  for (int repeat = 0; repeat < 20; repeat++) {
    const Extent image{random.integer(20, 90), random.integer(40, 130)};
    const TileGrid grid = tile_grid(image, {.tile = {20, 20}, .overlap_px = 8, .halo_px = 1});
    const auto in = random.normals(size_t(image.pixels()) * 3);
    // Differs from tile to tile where they overlap: the receptive field exceeds the halo.
    const auto network = [&](auto lr, Extent e) {
      std::vector<float> rest(lr.begin(), lr.begin() + e.pixels());
      rest = convolved(rest, e, 6);
      std::copy(rest.begin(), rest.end(), lr.begin());
      return lr;
    };
    const auto a = tiled(in, image, 3, 1, grid, one, random, network);
    const auto b = tiled(in, image, 3, 1, grid, three, random, network);
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("tile requests that cannot be met are refused", "[runtime][tiles]") {
  CHECK_THROWS_AS(tile_grid({0, 5}, {}), Error);
  CHECK_THROWS_AS(tile_grid({5, -1}, {}), Error);
  CHECK_THROWS_AS(tile_grid({5, 5}, {.multiple_of = 0}), Error);
  CHECK_THROWS_AS(tile_grid({5, (1 << 30) + 1}, {}), Error);
  CHECK_NOTHROW(tile_grid({5, 1 << 30}, {}));
  CHECK_THROWS_AS(tile_grid({100, 100}, {.tile = {32, 32}, .overlap_px = 32}), Error);
  CHECK_THROWS_AS(tile_grid({100, 100}, {.tile = {32, 32}, .overlap_px = 8, .halo_px = 5}), Error);
  CHECK_THROWS_AS(tile_grid({100, 100}, {.tile = {32, 32}, .overlap_px = -2}), Error);
  CHECK_NOTHROW(tile_grid({100, 100}, {.tile = {33, 33}, .overlap_px = 32, .halo_px = 16}));
}
