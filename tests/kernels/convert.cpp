// Depth conversions, the rounding rule, reflected crops and stores, against plain loops.
#include "kernels/convert.h"

#include <cstring>

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

const Depth kDepths[] = {Depth::u8, Depth::u16, Depth::f32};

// Random bytes as pixels; for f32 numbers instead, beyond 0..1 too.
std::vector<char> random_pixels(testing::Random& random, Depth depth, size_t values) {
  std::vector<char> bytes(values * depth_bytes(depth));
  if (depth == Depth::f32) {
    const auto floats = random.normals(values);
    std::memcpy(bytes.data(), floats.data(), bytes.size());
  } else {
    for (char& b : bytes) b = char(random.integer(0, 255));
  }
  return bytes;
}

double value_at(const void* p, Depth depth, int64_t i) {
  if (depth == Depth::u8) return static_cast<const uint8_t*>(p)[i] / 255.0;
  if (depth == Depth::u16) {
    uint16_t v;
    std::memcpy(&v, static_cast<const char*>(p) + 2 * i, 2);
    return v / 65535.0;
  }
  float v;
  std::memcpy(&v, static_cast<const char*>(p) + 4 * i, 4);
  return v;
}

template <class T>
T quantised(float v, Depth depth) {
  T out;
  from_float(&v, depth, &out, 1);
  return out;
}

// Walks a mirror-bouncing pixel from 0 to i.
int walk(int i, int n) {
  if (n == 1) return 0;
  int at = 0, step = 1;  // the sequence is even: i and -i are the same pixel
  for (int k = 0; k < std::abs(i); k++) {
    if (at + step < 0 || at + step >= n) step = -step;
    at += step;
  }
  return at;
}

}  // namespace

TEST_CASE("every 8-bit and 16-bit value survives the way to float and back", "[kernels][convert]") {
  std::vector<uint16_t> in(65536), back(65536);
  for (int i = 0; i < 65536; i++) in[i] = uint16_t(i);
  std::vector<float> f(65536);
  to_float(in.data(), Depth::u16, f.data(), 65536);
  for (int i = 0; i < 65536; i++) REQUIRE(f[i] == float(i / 65535.0));
  from_float(f.data(), Depth::u16, back.data(), 65536);
  CHECK(in == back);

  std::vector<uint8_t> in8(256), back8(256);
  for (int i = 0; i < 256; i++) in8[i] = uint8_t(i);
  to_float(in8.data(), Depth::u8, f.data(), 256);
  for (int i = 0; i < 256; i++) REQUIRE(f[i] == float(i / 255.0));
  from_float(f.data(), Depth::u8, back8.data(), 256);
  CHECK(in8 == back8);
}

TEST_CASE("quantisation clamps, rounds half up and maps NaN to zero", "[kernels][convert]") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(quantised<uint8_t>(0.5f, Depth::u8) == 128);      // 127.5
  CHECK(quantised<uint16_t>(0.5f, Depth::u16) == 32768);  // 32767.5
  CHECK(quantised<uint8_t>(0.1f, Depth::u8) == 26);       // 25.5
  CHECK(quantised<uint8_t>(0.3f, Depth::u8) == 77);       // 76.5 (0.3f is above 0.3)
  CHECK(quantised<uint8_t>(0.0019f, Depth::u8) == 0);     // 0.48
  CHECK(quantised<uint8_t>(0.002f, Depth::u8) == 1);      // 0.51
  for (Depth depth : {Depth::u8, Depth::u16}) {
    const auto q = [&](float v) {
      return depth == Depth::u8 ? quantised<uint8_t>(v, depth) : quantised<uint16_t>(v, depth);
    };
    const int max = depth == Depth::u8 ? 255 : 65535;
    CHECK(q(nan) == 0);
    CHECK(q(-nan) == 0);
    CHECK(q(inf) == max);
    CHECK(q(-inf) == 0);
    CHECK(q(1e30f) == max);
    CHECK(q(-1e-30f) == 0);
    CHECK(q(1) == max);
    CHECK(q(std::nextafter(1.0f, 2.0f)) == max);
  }
  UPS_RANDOM(random);
  for (int i = 0; i < 20000; i++) {
    const float v = random.uniform(-0.2f, 1.2f);
    const double exact = std::clamp(double(v), 0.0, 1.0) * 65535 + 0.5;
    // v * 65535 + 0.5 in float is within 2^-8 of the exact value; skip what lies that close to a step.
    if (std::abs(exact - std::round(exact)) < 1 / 128.) continue;
    REQUIRE(quantised<uint16_t>(v, Depth::u16) == int(exact));
  }
}

TEST_CASE("float pixels pass unclamped", "[kernels][convert]") {
  CHECK(quantised<float>(-3.5f, Depth::f32) == -3.5f);
  CHECK(quantised<float>(7.0f, Depth::f32) == 7.0f);
  CHECK(std::isnan(quantised<float>(std::nanf(""), Depth::f32)));
}

TEST_CASE("reflection repeats without the border pixel", "[kernels][convert]") {
  const int want[] = {2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1};  // i = -4 .. 7 of 4 pixels
  for (int i = -4; i < 8; i++) CHECK(reflect_101(i, 4) == want[i + 4]);
  for (int n : {1, 2, 3, 7, 64})
    for (int i = -300; i <= 300; i++) REQUIRE(reflect_101(i, n) == walk(i, n));
  CHECK(reflect_101(int64_t(1) << 40, 2) == 0);
}

TEST_CASE("a crop is the reflected image with its channels mapped", "[kernels][convert]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 200; repeat++) {
    const Depth depth = kDepths[random.integer(0, 2)];
    const int c = random.integer(1, 4), h = random.integer(1, 12), w = random.integer(1, 12);
    const int64_t stride = int64_t(w) * c * depth_bytes(depth) + 4 * random.integer(0, 3);
    const auto image = random_pixels(random, depth, size_t(stride) * h / depth_bytes(depth));
    ChannelMap map{random.integer(1, 4)};
    const bool straight = random.integer(0, 1);
    if (straight) map.count = c;
    for (int k = 0; k < map.count; k++) map.from[k] = straight ? k : random.integer(0, c - 1);
    const int tile_h = random.integer(1, 20), tile_w = random.integer(1, 20);
    const int y0 = random.integer(-15, 15), x0 = random.integer(-15, 15), extra = random.integer(0, 2);
    std::vector<float> data(size_t(tile_h) * tile_w * (map.count + extra), -99.0f);
    crop_tile(image.data(), {h, w}, c, depth, stride, y0, x0, map,
              dense_f32(data.data(), tile_h, tile_w, map.count + extra), pool);
    for (int y = 0; y < tile_h; y++)
      for (int x = 0; x < tile_w; x++)
        for (int k = 0; k < map.count + extra; k++) {
          const float got = data[(size_t(y) * tile_w + x) * (map.count + extra) + k];
          if (k >= map.count) {
            REQUIRE(got == -99.0f);
            continue;
          }
          const char* row = image.data() + walk(y0 + y, h) * stride;
          REQUIRE(got == float(value_at(row, depth, walk(x0 + x, w) * c + map.from[k])));
        }
  }
}

TEST_CASE("stored rows round as from_float and leave other channels alone", "[kernels][convert]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int repeat = 0; repeat < 200; repeat++) {
    const Depth depth = kDepths[random.integer(0, 2)];
    const int image_c = random.integer(1, 4), count = random.integer(1, image_c);
    const int first = random.integer(0, image_c - count), rows_c = count + random.integer(0, 2);
    const int h = random.integer(1, 5), w = random.integer(1, 9), bytes = depth_bytes(depth);
    const int64_t stride = int64_t(w) * image_c * bytes + 4 * random.integer(0, 3);
    const auto before = random_pixels(random, depth, size_t(stride) * h / bytes);
    auto image = before;
    auto rows = random.normals(size_t(h) * w * rows_c);
    rows[0] = std::numeric_limits<float>::quiet_NaN();
    store_rows(rows.data(), h, w, rows_c, count, image.data(), image_c, first, depth, stride, pool);
    auto want = before;
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++)
        for (int k = 0; k < count; k++)
          from_float(&rows[(size_t(y) * w + x) * rows_c + k], depth,
                     want.data() + y * stride + (x * image_c + first + k) * bytes, 1);
    REQUIRE(image == want);
  }
}

TEST_CASE("luma weighs as BT.601 and keeps gray", "[kernels][convert]") {
  UPS_RANDOM(random);
  for (int i = 0; i < 1000; i++) {
    const auto p = random.normals(3);
    float y;
    rgb_to_gray(p.data(), &y, 1);
    REQUIRE(y == Approx(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).margin(2e-6));
    const float gray[3] = {p[0], p[0], p[0]};
    rgb_to_gray(gray, &y, 1);
    REQUIRE(y == p[0]);
  }
  std::vector<float> in_place = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  rgb_to_gray(in_place.data(), in_place.data(), 3);
  CHECK(in_place[0] == Approx(0.299f));
  CHECK(in_place[1] == Approx(0.587f));
  CHECK(in_place[2] == Approx(0.114f));
}

TEST_CASE("conversions refuse channels that do not exist", "[kernels][convert]") {
  Pool pool(1);
  uint8_t pixel[4] = {};
  float f[4] = {};
  CHECK_THROWS_AS(crop_tile(pixel, {1, 1}, 3, Depth::u8, 3, 0, 0, only(3), dense_f32(f, 1, 1, 1), pool),
                  Error);
  CHECK_THROWS_AS(crop_tile(pixel, {1, 1}, 3, Depth::u8, 3, 0, 0, kFirst3, dense_f32(f, 1, 1, 1), pool),
                  Error);
  CHECK_THROWS_AS(store_rows(f, 1, 1, 3, 3, pixel, 4, 2, Depth::u8, 4, pool), Error);
}
