// The resampler against Pillow's output, against the filters' definitions in double, and its own promises.
#include "kernels/resize.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

const Filter kAll[] = {Filter::lanczos3, Filter::bicubic, Filter::mitchell, Filter::bilinear, Filter::box,
                       Filter::nearest,  Filter::area,    Filter::lanczos4, Filter::cubic};

struct Golden {
  Filter filter;
  std::string depth;
  int c, in_h, in_w, out_h, out_w;
  const float *in, *out;
};

struct Goldens {
  std::vector<float> data;
  std::vector<Golden> cases;
  explicit Goldens(const std::string& name = "resize") {
    const std::string path = UPS_GOLDEN "/" + name;
    std::ifstream f(path + ".f32", std::ios::binary);
    std::stringstream bytes;
    bytes << f.rdbuf();
    data.resize(bytes.str().size() / sizeof(float));
    std::memcpy(data.data(), bytes.str().data(), data.size() * sizeof(float));
    std::ifstream index(path + ".txt");
    std::string filter_of_case;
    Golden g;
    size_t in, out;
    while (index >> filter_of_case >> g.depth >> g.c >> g.in_h >> g.in_w >> g.out_h >> g.out_w >> in >> out) {
      for (Filter filter : kAll)
        if (filter_of_case == filter_name(filter)) g.filter = filter;
      REQUIRE(in + size_t(g.in_h) * g.in_w * g.c <= data.size());
      REQUIRE(out + size_t(g.out_h) * g.out_w * g.c <= data.size());
      g.in = data.data() + in, g.out = data.data() + out;
      cases.push_back(g);
    }
  }
};

std::vector<float> resized(const float* in, Extent from, int c, Extent to, Filter filter, Pool& pool) {
  std::vector<float> out(size_t(to.pixels()) * c);
  resize(in, from, c, out.data(), to, filter, pool);
  return out;
}

// Mitchell and Netravali (1988), equation 8 with B = C = 1/3.
double mitchell(double x) {
  const double B = 1 / 3., C = 1 / 3.;
  x = std::abs(x);
  if (x < 1) return ((12 - 9 * B - 6 * C) * x * x * x + (-18 + 12 * B + 6 * C) * x * x + (6 - 2 * B)) / 6;
  if (x < 2)
    return ((-B - 6 * C) * x * x * x + (6 * B + 30 * C) * x * x + (-12 * B - 48 * C) * x + (8 * B + 24 * C)) /
           6;
  return 0;
}

// Weight of input pixel j for output pixel i: the definition, over all input pixels.
std::vector<double> mitchell_weights(int in, int out, int i) {
  std::vector<double> w(in);
  const double scale = double(in) / out, centre = (i + 0.5) * scale;
  double sum = 0;
  for (int j = 0; j < in; j++) sum += w[j] = mitchell((j + 0.5 - centre) / std::max(1.0, scale));
  for (double& x : w) x /= sum;
  return w;
}

}  // namespace

TEST_CASE("resize of float images agrees with Pillow", "[kernels][resize]") {
  Goldens goldens;
  Pool pool(2);
  int cases = 0;
  for (const Golden& g : goldens.cases) {
    if (g.depth != "f32") continue;
    const auto out = resized(g.in, {g.in_h, g.in_w}, g.c, {g.out_h, g.out_w}, g.filter, pool);
    // Inputs are below 1. Rounding: two passes of at most 100 taps whose absolute weights sum to below 1.5,
    // each product and partial sum within 2^-24; 1e-5 bounds it with room, a wrong weight shows as 1e-3.
    float worst = 0;
    for (size_t i = 0; i < out.size(); i++) worst = std::max(worst, std::abs(out[i] - g.out[i]));
    INFO(filter_name(g.filter) << " " << g.in_h << "x" << g.in_w << "x" << g.c << " -> " << g.out_h << "x"
                               << g.out_w);
    CHECK(worst <= (g.filter == Filter::nearest ? 0 : 1e-5f));
    cases++;
  }
  CHECK(cases == 75);
}

TEST_CASE("resize of float images agrees with OpenCV", "[kernels][resize]") {
  Goldens goldens("resize_opencv");
  Pool pool(2);
  int cases = 0;
  for (const Golden& g : goldens.cases) {
    const auto out = resized(g.in, {g.in_h, g.in_w}, g.c, {g.out_h, g.out_w}, g.filter, pool);
    // OpenCV's weights are float, from a float position: 2^-24 of up to 32 px, amplified by the filter's
    // slope.
    float worst = 0;
    for (size_t i = 0; i < out.size(); i++) worst = std::max(worst, std::abs(out[i] - g.out[i]));
    INFO(filter_name(g.filter) << " " << g.in_h << "x" << g.in_w << "x" << g.c << " -> " << g.out_h << "x"
                               << g.out_w);
    CHECK(worst <= 2e-5f);
    cases++;
  }
  CHECK(cases == 21);
}

TEST_CASE("resize of 8-bit images agrees with Pillow within one step", "[kernels][resize]") {
  Goldens goldens;
  Pool pool(2);
  int cases = 0;
  for (const Golden& g : goldens.cases) {
    if (g.depth != "u8") continue;
    const auto out = resized(g.in, {g.in_h, g.in_w}, g.c, {g.out_h, g.out_w}, g.filter, pool);
    // Pillow rounds to 8 bits between the passes: half a step, amplified by at most 1.5, then half a step.
    int worst = 0;
    for (size_t i = 0; i < out.size(); i++)
      worst = std::max(worst, std::abs(int(std::floor(out[i] + 0.5f)) - int(g.out[i])));
    INFO(filter_name(g.filter));
    CHECK(worst <= 1);
    cases++;
  }
  CHECK(cases == 10);
}

TEST_CASE("the Mitchell filter is its definition", "[kernels][resize]") {
  for (double x = -2.5; x < 2.5; x += 0.01)
    CHECK(filter_value(Filter::mitchell, x) == Approx(mitchell(x)).margin(1e-14));
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 20; repeat++) {
    const Extent from{random.integer(1, 40), random.integer(1, 40)},
        to{random.integer(1, 40), random.integer(1, 40)};
    if (from.h == to.h || from.w == to.w) continue;  // an axis of equal sizes is copied, not filtered
    const auto in = random.normals(size_t(from.pixels()));
    const auto out = resized(in.data(), from, 1, to, Filter::mitchell, pool);
    for (int y = 0; y < to.h; y++)
      for (int x = 0; x < to.w; x++) {
        const auto wy = mitchell_weights(from.h, to.h, y), wx = mitchell_weights(from.w, to.w, x);
        double sum = 0;
        for (int j = 0; j < from.h; j++)
          for (int i = 0; i < from.w; i++) sum += wy[j] * wx[i] * in[j * from.w + i];
        CHECK(out[y * to.w + x] == Approx(sum).margin(1e-5));
      }
  }
}

TEST_CASE("taps lie inside the image and sum to one", "[kernels][resize]") {
  UPS_RANDOM(random);
  for (Filter filter : kAll)
    for (int repeat = 0; repeat < 50; repeat++) {
      const int in = random.integer(1, 300), out = random.integer(1, 300);
      const TapTable table(in, out, filter);
      int first = 0;
      for (int i = 0; i < out; i++) {
        const Taps taps = table[i];
        REQUIRE(taps.first >= first);  // the ring of RowResizer drops rows before it
        REQUIRE(taps.count >= 1);
        REQUIRE(taps.count <= table.max_count());
        REQUIRE(taps.first + taps.count <= in);
        double sum = 0;
        for (int k = 0; k < taps.count; k++) sum += taps.weights[k];
        REQUIRE(sum == Approx(1).margin(1e-6));
        first = taps.first;
      }
    }
}

TEST_CASE("resize to the same size is a copy of every bit", "[kernels][resize]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (Filter filter : kAll) {
    auto in = random.normals(7 * 5 * 3);
    in[3] = -0.0f, in[4] = std::numeric_limits<float>::quiet_NaN(),
    in[5] = std::numeric_limits<float>::infinity();
    const auto out = resized(in.data(), {7, 5}, 3, {7, 5}, filter, pool);
    CHECK(std::memcmp(in.data(), out.data(), in.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("resize keeps a constant image constant", "[kernels][resize]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (Filter filter : kAll) {
    const Extent from{random.integer(1, 90), random.integer(1, 90)},
        to{random.integer(1, 90), random.integer(1, 90)};
    const std::vector<float> in(size_t(from.pixels()) * 3, 0.7f);
    for (float v : resized(in.data(), from, 3, to, filter, pool)) REQUIRE(v == Approx(0.7f).margin(1e-6));
  }
}

TEST_CASE("resize treats channels alike and apart", "[kernels][resize]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int c : {2, 3, 4, 5})
    for (Filter filter : kAll) {
      const Extent from{random.integer(1, 60), random.integer(1, 60)},
          to{random.integer(1, 60), random.integer(1, 60)};
      const auto in = random.normals(size_t(from.pixels()) * c);
      const auto out = resized(in.data(), from, c, to, filter, pool);
      for (int k = 0; k < c; k++) {
        std::vector<float> plane(size_t(from.pixels()));
        for (size_t i = 0; i < plane.size(); i++) plane[i] = in[i * c + k];
        const auto one = resized(plane.data(), from, 1, to, filter, pool);
        for (size_t i = 0; i < one.size(); i++) REQUIRE(out[i * c + k] == Approx(one[i]).margin(1e-5));
      }
    }
}

TEST_CASE("resize gives the same bits for any threads and any cutting into rows", "[kernels][resize]") {
  UPS_RANDOM(random);
  Pool one(1), three(3);
  for (int repeat = 0; repeat < 30; repeat++) {
    const Filter filter = kAll[random.integer(0, kFilters - 1)];
    const int c = random.integer(1, 4);
    const Extent from{random.integer(1, 400), random.integer(1, 60)},
        to{random.integer(1, 400), random.integer(1, 60)};
    const auto in = random.normals(size_t(from.pixels()) * c);
    const auto whole = resized(in.data(), from, c, to, filter, one);

    RowResizer resizer(from.h, from.w, to.h, to.w, c, filter);
    std::vector<float> out;
    int next = 0, pushed = 0;
    while (pushed < from.h) {
      const int n = std::min(from.h - pushed, random.integer(0, 50));
      const std::vector<float> rows(in.begin() + int64_t(pushed) * from.w * c,
                                    in.begin() + int64_t(pushed + n) * from.w * c);
      resizer.push(rows.data(), n, three, [&](int y, int count, const float* finished) {
        CHECK(y == next);
        next += count;
        out.insert(out.end(), finished, finished + size_t(count) * to.w * c);
      });
      pushed += n;
    }
    CHECK(next == to.h);
    REQUIRE(out.size() == whole.size());
    CHECK(std::memcmp(out.data(), whole.data(), out.size() * sizeof(float)) == 0);
    CHECK_THROWS_AS(resizer.push(in.data(), 1, three, [](int, int, const float*) {}), Error);
  }
}

TEST_CASE("the row resizer holds a few rows, not the image", "[kernels][resize]") {
  // A 100 MB image: 13 rows of support and at most 256 of a round, both ways.
  CHECK(RowResizer(16384, 512, 8192, 256, 3, Filter::lanczos3).bytes() < 3 << 20);
  CHECK(RowResizer(16384, 512, 16384, 512, 3, Filter::lanczos3).bytes() < 1 << 20);
}

TEST_CASE("resize refuses empty images", "[kernels][resize]") {
  CHECK_THROWS_AS(TapTable(0, 1, Filter::box), Error);
  CHECK_THROWS_AS(TapTable(1, 0, Filter::box), Error);
  CHECK_THROWS_AS(RowResizer(1, 1, 1, 1, 0, Filter::box), Error);
}
