// The finishing line against its stages done one after the other on whole pictures.
#include "runtime/finish.h"

#include <cstring>

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;
using ups::testing::Random;

namespace {

std::vector<float> finished(const std::vector<float>& in, Extent e, int c, const FinishOptions& o, Pool& pool,
                            int rows_at_once, Extent* size = nullptr) {
  std::vector<float> out;
  int next = 0;
  Finisher line(e, c, Depth::f32, o, pool, [&](int y, int n, const void* data) {
    CHECK(y == next);
    next += n;
    const float* rows = static_cast<const float*>(data);
    out.insert(out.end(), rows, rows + int64_t(n) * line.out().w * c);
  });
  for (int y = 0; y < e.h; y += rows_at_once)
    line.push(in.data() + size_t(y) * e.w * c, std::min(rows_at_once, e.h - y));
  CHECK(next == line.out().h);
  CHECK(line.bytes() > 0);
  if (size) *size = line.out();
  return out;
}

std::vector<float> random_floats(Random& random, size_t n) {
  std::vector<float> v(n);
  for (float& x : v) x = random.uniform();
  return v;
}

}  // namespace

TEST_CASE("a picture that is to stay as it is stays", "[runtime][finish]") {
  UPS_RANDOM(random);
  Pool pool(2);
  const auto in = random_floats(random, 9 * 150 * 3);
  CHECK(finished(in, {150, 9}, 3, {}, pool, 7) == in);
}

TEST_CASE("resample, cut, sharpen, adjust, pad: in this order", "[runtime][finish]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 40; repeat++) {
    const Extent e{random.integer(1, 200), random.integer(1, 40)};
    const int c = random.integer(1, 4), colours = c <= 2 ? 1 : 3;
    FinishOptions o;
    o.picture = {random.integer(1, 200), random.integer(1, 40)};
    o.canvas = {random.integer(1, 250), random.integer(1, 50)};
    o.x = random.integer(1 - o.picture.w, o.canvas.w - 1),
    o.y = random.integer(1 - o.picture.h, o.canvas.h - 1);
    o.filter = c % 2 ? Filter::lanczos3 : Filter::bilinear;  // no alpha near 0 that magnifies rounding
    for (float& b : o.background) b = random.uniform();
    if (repeat % 3) o.sharpen = Sharpen{repeat % 3 == 1 ? Sharpen::Kind::lab : Sharpen::Kind::unsharp};
    o.brightness = 1.1f, o.contrast = 0.8f, o.saturation = 1.4f;
    INFO(e.w << "x" << e.h << " -> " << o.picture.w << "x" << o.picture.h << " at " << o.x << "," << o.y
             << " on " << o.canvas.w << "x" << o.canvas.h);
    auto in = random_floats(random, size_t(e.pixels()) * c);
    for (size_t i = size_t(c) - 1; c % 2 == 0 && i < in.size(); i += size_t(c)) in[i] = 0.2f + 0.8f * in[i];
    Extent size;
    const auto got = finished(in, e, c, o, pool, random.integer(1, 250), &size);
    REQUIRE(size == o.canvas);

    std::vector<float> picture(size_t(o.picture.pixels()) * c);
    if (c % 2 || e == o.picture) {
      resize(in.data(), e, c, picture.data(), o.picture, o.filter, pool);
    } else {  // colours weighted by alpha
      std::vector<float> weighed(in), plain(picture.size());
      for (size_t i = 0; i < in.size(); i++)
        if (int(i) % c < c - 1) weighed[i] *= in[i / size_t(c) * size_t(c) + size_t(c) - 1];
      resize(weighed.data(), e, c, picture.data(), o.picture, o.filter, pool);
      resize(in.data(), e, c, plain.data(), o.picture, o.filter, pool);
      for (size_t i = 0; i < picture.size(); i++) {
        const float a = picture[i / size_t(c) * size_t(c) + size_t(c) - 1];
        if (int(i) % c < c - 1) picture[i] = a > 1e-4f ? picture[i] / a : plain[i];
      }
    }
    const int x0 = std::max(0, -o.x), y0 = std::max(0, -o.y);
    const int x1 = std::min(o.picture.w, o.canvas.w - o.x), y1 = std::min(o.picture.h, o.canvas.h - o.y);
    const Extent cut{y1 - y0, x1 - x0};
    std::vector<float> seen;
    for (int y = y0; y < y1; y++) {
      const float* row = picture.data() + (int64_t(y) * o.picture.w + x0) * c;
      seen.insert(seen.end(), row, row + int64_t(cut.w) * c);
    }
    if (o.sharpen) {
      std::vector<float> sharp;
      RowSharpener(cut.h, cut.w, c, *o.sharpen)
          .push(seen.data(), cut.h, pool, [&](int, int n, const float* rows) {
            sharp.insert(sharp.end(), rows, rows + int64_t(n) * cut.w * c);
          });
      seen = sharp;
    }
    double worst = 0;
    for (int y = 0; y < o.canvas.h; y++)
      for (int x = 0; x < o.canvas.w; x++) {
        double want[4];
        const int py = y - o.y - y0, px = x - o.x - x0;
        const bool inside = py >= 0 && py < cut.h && px >= 0 && px < cut.w;
        if (inside) {
          const float* p = seen.data() + (int64_t(py) * cut.w + px) * c;
          for (int k = 0; k < c; k++) want[k] = k < colours ? (p[k] * 1.1 - 0.5) * 0.8 + 0.5 : double(p[k]);
          if (colours == 3) {
            const double luma = 0.299 * want[0] + 0.587 * want[1] + 0.114 * want[2];
            for (int k = 0; k < 3; k++) want[k] = luma + (want[k] - luma) * 1.4;
          }
        } else {
          for (int k = 0; k < c; k++) want[k] = double(o.background[k]);
        }
        for (int k = 0; k < c; k++)
          worst = std::max(worst, std::abs(want[k] - double(got[(size_t(y) * o.canvas.w + x) * c + k])));
      }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("a finishing line refuses what has no meaning", "[runtime][finish]") {
  Pool pool(1);
  auto made = [&](const FinishOptions& o) {
    Finisher(Extent{4, 4}, 3, Depth::u8, o, pool, [](int, int, const void*) {});
  };
  FinishOptions o;
  o.canvas = {4, 4}, o.x = 4;
  CHECK_THROWS_AS(made(o), Error);
  o.x = -4;
  CHECK_THROWS_AS(made(o), Error);
  o.x = 0, o.contrast = NAN;
  CHECK_THROWS_AS(made(o), Error);
  o.contrast = 1, o.sharpen = Sharpen{};
  o.sharpen->sigma = 0;
  CHECK_THROWS_AS(made(o), Error);
}
