// Sharpening against libvips and scikit-image; dithering against its promises.
#include "kernels/sharpen.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "kernels/dither.h"
#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

std::vector<float> sharpened(const float* in, Extent e, int c, const Sharpen& s, Pool& pool,
                             int rows_at_once) {
  RowSharpener sharpener(e.h, e.w, c, s);
  std::vector<float> out;
  const int64_t row = int64_t(e.w) * c;
  for (int y = 0; y < e.h; y += rows_at_once)
    sharpener.push(in + y * row, std::min(rows_at_once, e.h - y), pool,
                   [&](int at, int n, const float* rows) {
                     CHECK(at * row == int64_t(out.size()));
                     out.insert(out.end(), rows, rows + n * row);
                   });
  CHECK(int64_t(out.size()) == e.h * row);
  return out;
}

}  // namespace

TEST_CASE("sharpening is libvips' and scikit-image's", "[kernels][sharpen]") {
  std::ifstream f(UPS_GOLDEN "/sharpen.f32", std::ios::binary);
  std::stringstream bytes;
  bytes << f.rdbuf();
  std::vector<float> data(bytes.str().size() / sizeof(float));
  std::memcpy(data.data(), bytes.str().data(), data.size() * sizeof(float));
  std::ifstream index(UPS_GOLDEN "/sharpen.txt");
  Pool pool(2);
  std::string kind;
  Sharpen s;
  int c, cases = 0;
  Extent e;
  size_t in, out;
  while (index >> kind >> s.sigma >> s.x1 >> s.y2 >> s.y3 >> s.m1 >> s.m2 >> s.amount >> c >> e.h >> e.w >>
         in >> out) {
    s.kind = kind == "lab" ? Sharpen::Kind::lab : Sharpen::Kind::unsharp;
    const size_t count = size_t(e.pixels()) * c;
    REQUIRE(out + count <= data.size());
    const auto got = sharpened(data.data() + in, e, c, s, pool, 5);
    float worst = 0;
    for (size_t i = 0; i < count; i++) {
      const float want = data[out + i];
      worst = std::max(worst, s.kind == Sharpen::Kind::lab
                                  ? std::abs(std::floor(got[i] * 255 + 0.5f) - std::floor(want * 255 + 0.5f))
                                  : std::abs(got[i] - want));
    }
    INFO(kind << " " << s.sigma << " " << e.h << "x" << e.w << "x" << c);
    // libvips works on 16-bit LAB, 1/327 of a unit of L, and rounds twice on the way: one level of 255.
    CHECK(worst <= (s.kind == Sharpen::Kind::lab ? 1 : 2e-6f));
    cases++;
  }
  CHECK(cases == 21);
}

TEST_CASE("sharpening does not depend on cuts or threads, keeps alpha and flat pictures",
          "[kernels][sharpen]") {
  UPS_RANDOM(random);
  Pool one(1), three(3);
  for (Sharpen::Kind kind : {Sharpen::Kind::lab, Sharpen::Kind::unsharp})
    for (int repeat = 0; repeat < 8; repeat++) {
      const Extent e{random.integer(1, 700), random.integer(1, 20)};
      const int c = random.integer(1, 4);
      Sharpen s{kind};
      s.sigma = random.uniform(0.1f, 6);
      std::vector<float> in(size_t(e.pixels()) * c);
      for (float& v : in) v = random.uniform();
      const auto whole = sharpened(in.data(), e, c, s, one, e.h);
      const auto cut = sharpened(in.data(), e, c, s, three, random.integer(1, 300));
      CHECK(std::memcmp(whole.data(), cut.data(), whole.size() * sizeof(float)) == 0);
      bool kept = true;
      for (size_t i = size_t(c) - 1; c % 2 == 0 && i < in.size(); i += size_t(c)) kept &= whole[i] == in[i];
      CHECK(kept);
      const std::vector<float> flat(in.size(), 0.4f);
      for (float v : sharpened(flat.data(), e, c, s, one, e.h)) REQUIRE(v == Approx(0.4f).margin(1e-5));
    }
}

TEST_CASE("sharpening holds a few rows and refuses what has no meaning", "[kernels][sharpen]") {
  Sharpen s;
  CHECK(RowSharpener(15000, 20000, 3, s).bytes() < size_t(20000) * 3 * 4 * 40);
  for (double sigma : {0.0, -1.0, 21.0, double(NAN)}) {
    s.sigma = sigma;
    CHECK_THROWS_AS(RowSharpener(4, 4, 3, s), Error);
  }
  s.sigma = 1, s.m2 = -1;
  CHECK_THROWS_AS(RowSharpener(4, 4, 3, s), Error);
  CHECK_THROWS_AS(RowSharpener(0, 4, 3, Sharpen{}), Error);
}

TEST_CASE("dithering keeps levels, means and alpha", "[kernels][dither]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (Dither dither : {Dither::ordered, Dither::floyd_steinberg})
    for (int c = 1; c <= 4; c++) {
      INFO("dither " << int(dither) << ", " << c << " channels");
      const int w = 64, h = 64, colours = c <= 2 ? 1 : 3;
      std::vector<float> levels(size_t(w) * h * c), flat(levels.size());
      for (float& v : levels) v = float(random.integer(0, 255)) / 255;
      const float value = random.uniform(0.1f, 0.9f);
      std::fill(flat.begin(), flat.end(), value);
      std::vector<uint8_t> out(levels.size());
      RowQuantiser(w, c, Depth::u8, dither).put(levels.data(), h, out.data(), pool);
      for (size_t i = 0; i < out.size(); i++) REQUIRE(out[i] == std::lround(levels[i] * 255));
      RowQuantiser whole(w, c, Depth::u8, dither), cut(w, c, Depth::u8, dither);
      whole.put(flat.data(), h, out.data(), pool);
      std::vector<uint8_t> pieces(out.size());
      for (int y = 0; y < h; y += 16)
        cut.put(flat.data() + y * w * c, 16, pieces.data() + size_t(y) * w * c, pool);
      CHECK(out == pieces);
      double sum = 0;
      for (size_t i = 0; i < out.size(); i++) {
        const bool alpha = c % 2 == 0 && i % size_t(c) == size_t(c) - 1;
        if (alpha) REQUIRE(out[i] == std::lround(value * 255));
        REQUIRE(std::abs(float(out[i]) - value * 255) < 1);
        if (!alpha) sum += out[i];
      }
      // Ordered: thresholds are 1/64 apart. Diffused: all but the last row's error is passed on.
      CHECK(sum / (w * h * colours) == Approx(value * 255).margin(1.0 / 64 + 0.01));
    }
  // 16 bits, values out of range, NaN.
  const float odd[4] = {-1, 2, NAN, 0.5f};
  uint16_t deep[4];
  for (Dither dither : {Dither::ordered, Dither::floyd_steinberg}) {
    RowQuantiser(4, 1, Depth::u16, dither).put(odd, 1, deep, pool);
    CHECK(deep[0] == 0);
    CHECK(deep[1] == 65535);
    CHECK(deep[2] == 0);
    CHECK(std::abs(deep[3] - 32767.5) < 1);
  }
}

TEST_CASE("the ordered thresholds are Bayer's", "[kernels][dither]") {
  Pool pool(1);
  std::vector<float> ramp(8 * 8);
  std::vector<uint8_t> out(64);
  int rank[64] = {};
  for (int level = 0; level < 64; level++) {
    std::fill(ramp.begin(), ramp.end(), (float(level) + 1) / 64 / 255);
    RowQuantiser(8, 1, Depth::u8, Dither::ordered).put(ramp.data(), 8, out.data(), pool);
    for (int i = 0; i < 64; i++) rank[i] += out[size_t(i)];
  }
  // The corner of the 8x8 matrix as published: 0 32 8 40 / 48 16 56 24. A pixel of threshold m lights up in
  // m + 1 of the 64 levels.
  CHECK(rank[0] - 1 == 0);
  CHECK(rank[1] - 1 == 32);
  CHECK(rank[2] - 1 == 8);
  CHECK(rank[3] - 1 == 40);
  CHECK(rank[8] - 1 == 48);
  CHECK(rank[9] - 1 == 16);
  CHECK(rank[10] - 1 == 56);
  CHECK(rank[11] - 1 == 24);
}
