// Fading weights and the row-wise blender.
#include "kernels/blend.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

TEST_CASE("a rising and a falling ramp sum to exactly one", "[kernels][blend]") {
  for (int n = 1; n <= 600; n++) {
    const Share left{0, 10 + n, 0, n}, right{10, 20 + n, n, 0};
    float before = 0;
    for (int p = 10; p < 10 + n; p++) {
      const float rise = weight(right, p), fall = weight(left, p);
      REQUIRE(rise + fall == 1.0f);
      REQUIRE(rise > before);
      REQUIRE(fall >= 0);
      before = rise;
    }
    CHECK(weight(left, 9) == 1);
    CHECK(weight(left, 10 + n) == 0);
    CHECK(weight(right, 9) == 0);
    CHECK(weight(right, 10 + n) == 1);
  }
}

namespace {

// Two rows of two tiles over a 12 x 10 image, tiles random and different where they meet.
struct Quad {
  const Share y[2] = {{0, 8, 0, 3}, {5, 12, 3, 0}}, x[2] = {{0, 6, 0, 4}, {2, 10, 4, 0}};
  int c, px;
  std::vector<float> tiles[2][2];
  Quad(testing::Random& random, int c, int px) : c(c), px(px) {
    for (auto& row : tiles)
      for (auto& tile : row) tile = random.normals(size_t(9) * 11 * px);
  }
  // Tiles are 9 x 11 and begin at rows 0, 3 and columns -1, 0.
  Tensor tile(int i, int j) {
    Tensor t = dense_f32(tiles[i][j].data(), 9, 11, px);
    t.c = c;
    return t;
  }
  std::vector<float> blended(Pool& pool, bool swap) {
    TileBlender blender(10, c);
    std::vector<float> out;
    for (int i = 0; i < 2; i++) {
      blender.start(y[i]);
      for (int j = 0; j < 2; j++) {
        const int k = swap ? 1 - j : j;
        blender.add(tile(i, k), i * 3, k - 1, x[k], pool);
      }
      blender.finish(pool, [&](int at, int n, const float* rows) {
        CHECK(size_t(at) * 10 * c == out.size());
        out.insert(out.end(), rows, rows + size_t(n) * 10 * c);
      });
    }
    CHECK(blender.bytes() <= TileBlender::bytes_for(10, c, 8, 3));
    return out;
  }
};

}  // namespace

TEST_CASE("blending is the weighted sum of the tiles", "[kernels][blend]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int px : {3, 5}) {
    Quad quad(random, 3, px);
    const auto out = quad.blended(pool, false);
    REQUIRE(out.size() == 12 * 10 * 3);
    for (int y = 0; y < 12; y++)
      for (int x = 0; x < 10; x++)
        for (int k = 0; k < 3; k++) {
          double sum = 0;
          int contributors = 0;
          float alone = 0;
          for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
              const double w = double(weight(quad.y[i], y)) * weight(quad.x[j], x);
              if (w == 0) continue;
              alone = quad.tile(i, j).at(y - i * 3, x - (j - 1))[k];
              sum += w * alone;
              contributors++;
            }
          REQUIRE(contributors >= 1);
          const float got = out[(y * 10 + x) * 3 + k];
          if (contributors == 1)
            REQUIRE(std::memcmp(&got, &alone, sizeof got) == 0);
          else
            REQUIRE(got == Approx(sum).margin(2e-6));
        }
  }
}

TEST_CASE("the order of tiles in a row and the threads do not change a bit", "[kernels][blend]") {
  UPS_RANDOM(random);
  Pool one(1), three(3);
  Quad quad(random, 4, 4);
  const auto a = quad.blended(one, false), b = quad.blended(three, true);
  CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST_CASE("the blender refuses rows of tiles with gaps and tiles that do not cover their share",
          "[kernels][blend]") {
  Pool pool(1);
  TileBlender blender(10, 1);
  CHECK_THROWS_AS(blender.start({0, 8, 2, 0}), Error);
  CHECK_THROWS_AS(blender.start({0, 8, 0, 9}), Error);
  blender.start({0, 8, 0, 3});
  std::vector<float> data(100);
  const Tensor tile = dense_f32(data.data(), 8, 6, 1);
  CHECK_THROWS_AS(blender.add(tile, 1, 0, {0, 6, 0, 0}, pool), Error);
  CHECK_THROWS_AS(blender.add(tile, 0, 0, {0, 7, 0, 0}, pool), Error);
  CHECK_THROWS_AS(blender.add(tile, 0, 5, {5, 11, 0, 0}, pool), Error);
  CHECK_NOTHROW(blender.add(tile, 0, 4, {4, 10, 0, 0}, pool));
  CHECK_THROWS_AS(blender.start({6, 12, 3, 0}), Error);
  CHECK_THROWS_AS(blender.start({5, 12, 2, 0}), Error);
  CHECK_NOTHROW(blender.start({5, 12, 3, 0}));
}
