// Alpha: copied, bled under, computed by the network; no foreign colour at the edge.
#include "runtime/alpha.h"

#include <cstring>

#include "kernels/error.h"
#include "tests/runtime/pictures.h"
#include "upscale.h"

using namespace ups;
using namespace ups::testing;

namespace {

// A smooth colour, and a disc of it: the rest is transparent and black, as painting programs leave it.
struct Disc {
  Pixels opaque, cut;
  Disc(int side, float edge) : opaque(side, side, 3), cut(side, side, 4) {
    for (int y = 0; y < side; y++)
      for (int x = 0; x < side; x++) {
        const float d = std::hypot(y - side * 0.5f, x - side * 0.45f) - side * 0.3f;
        const float a = std::clamp(0.5f - d / edge, 0.0f, 1.0f);
        for (int k = 0; k < 3; k++) {
          opaque.at(y, x, k) = 0.6f + 0.1f * k + 0.1f * std::sin(0.05f * (x + k * y));
          cut.at(y, x, k) = a > 0 ? opaque.at(y, x, k) : 0;
        }
        cut.at(y, x, 3) = a;
      }
  }
};

// What is seen over black and over white, against the opaque picture's colours under the same alpha.
float worst_over(Pixels& hr, Pixels& opaque, float background) {
  float most = 0;
  for (int y = 0; y < hr.image.h; y++)
    for (int x = 0; x < hr.image.w; x++) {
      const float a = std::clamp(hr.at(y, x, 3), 0.0f, 1.0f);
      for (int k = 0; k < 3; k++) {
        const float seen = hr.at(y, x, k) * a + background * (1 - a);
        most = std::max(most, std::abs(seen - (opaque.at(y, x, k) * a + background * (1 - a))));
      }
    }
  return most;
}

}  // namespace

TEST_CASE("no dark fringe: cut-out pictures show the colours of the whole one", "[runtime][alpha]") {
  Pool pool(2);
  UPS_RANDOM(random);
  // Resampling by 2.5 after the network spreads whatever lies under the edge.
  Session session(nearest(3, 4), make_cpu_backend(pool));
  for (float edge : {0.01f, 3.0f})
    for (AlphaMode mode : {AlphaMode::automatic, AlphaMode::model, AlphaMode::resample}) {
      Disc disc(48, edge);
      LoopOptions loop;
      loop.scale = 2.5;
      Pixels whole = upscale(session, pool, disc.opaque, loop);
      Pixels hr = upscale(session, pool, disc.cut, loop, {.alpha = mode});
      for (float background : {0.0f, 1.0f}) {
        INFO("edge " << edge << " mode " << int(mode) << " over " << background);
        // The colour changes by less than 0.01 a pixel, and bleeding carries it a few pixels at most where
        // anything is visible. Black under the edge gives 0.2 and more.
        CHECK(worst_over(hr, whole, background) < 0.02f);
      }
    }
}

TEST_CASE("bleeding fills rings with means of what is known", "[runtime][alpha]") {
  Pixels p(5, 1, 2);
  p.values = {0.2f, 1, 0, 0, 0, 0, 0, 0, 0.8f, 0.5f};
  const std::vector<std::byte> out = bled(p.image, {});
  const float* v = reinterpret_cast<const float*>(out.data());
  CHECK(v[2] == 0.2f);
  CHECK(v[4] == Approx(0.5f));  // both rings arrive at once
  CHECK(v[6] == 0.8f);
  for (int x = 0; x < 5; x++) CHECK(v[2 * x + 1] == p.values[size_t(2 * x + 1)]);
  p.values = {0, 0, 0, 0, 0.4f, 1, 0, 0, 0, 0};
  const auto ends = bled(p.image, {.x = true});
  CHECK(reinterpret_cast<const float*>(ends.data())[0] == 0.4f);
  Pixels nothing(3, 3, 4);
  nothing.at(1, 1) = 0.7f;
  const auto same = bled(nothing.image, {});
  CHECK(std::memcmp(same.data(), nothing.values.data(), same.size()) == 0);
}

TEST_CASE("bleeding does not depend on the depth, and takes every pixel once", "[runtime][alpha]") {
  UPS_RANDOM(random);
  const int w = random.integer(1, 40), h = random.integer(1, 40);
  std::vector<uint8_t> bytes(size_t(w) * h * 4);
  for (auto& b : bytes) b = uint8_t(random.integer(0, 255));
  for (size_t i = 3; i < bytes.size(); i += 4) bytes[i] = random.integer(0, 9) ? 0 : 200;
  bytes[3] = 200;
  const Image image{bytes.data(), h, w, 4, Depth::u8, int64_t(w) * 4};
  std::vector<uint16_t> words;
  for (uint8_t b : bytes) words.push_back(uint16_t(b * 257));
  const Image wide{words.data(), h, w, 4, Depth::u16, int64_t(w) * 8};
  const auto narrow = bled(image, {}), broad = bled(wide, {});
  const auto* a = reinterpret_cast<const uint8_t*>(narrow.data());
  const auto* b = reinterpret_cast<const uint16_t*>(broad.data());
  for (size_t i = 0; i < bytes.size(); i++) {
    if (bytes[i / 4 * 4 + 3]) REQUIRE(a[i] == bytes[i]);
    // Each ring rounds once: halves of a level add up over at most w + h rings.
    REQUIRE(std::abs(int(a[i]) * 257 - int(b[i])) <= 257 * (1 + (w + h) / 2));
  }
}

TEST_CASE("bleeding rounds means, and values are told apart at full depth", "[runtime][alpha]") {
  uint8_t ends[] = {10, 255, 0, 0, 11, 255};  // gray with alpha; the mean is 10.5
  const auto mean = bled({ends, 1, 3, 2, Depth::u8, 6}, {});
  CHECK(int(mean[2]) == 11);
  uint16_t words[] = {7, 0x1234, 7, 0x1334};  // equal in their low bytes
  CHECK_FALSE(constant_alpha({words, 1, 2, 2, Depth::u16, 8}));
  words[3] = 0x1234;
  CHECK(constant_alpha({words, 1, 2, 2, Depth::u16, 8}) == Approx(0x1234 / 65535.0).epsilon(1e-6));
  uint8_t mask[] = {255, 0, 255, 51};
  CHECK(two_values({mask, 1, 3, 1, Depth::u8, 3}) == std::pair(0.0f, 1.0f));  // the lower first
  CHECK_FALSE(two_values({mask, 1, 4, 1, Depth::u8, 4}));
}

TEST_CASE("constant alpha is copied in every depth and mode", "[runtime][alpha]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random), make_cpu_backend(pool));
  for (float a : {0.0f, 0.3f, 1.0f})
    for (AlphaMode mode : {AlphaMode::automatic, AlphaMode::model, AlphaMode::resample}) {
      Pixels lr = random_pixels(random, 13, 9, 4);
      for (size_t i = 3; i < lr.values.size(); i += 4) lr.values[i] = a;
      LoopOptions loop;
      loop.scale = 1.7;
      const Pixels hr = upscale(session, pool, lr, loop, {.alpha = mode});
      for (size_t i = 3; i < hr.values.size(); i += 4) REQUIRE(hr.values[i] == a);
    }
}

TEST_CASE("alpha by the network is what the network makes of it as a gray picture", "[runtime][alpha]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int network_c : {1, 3}) {
    Session session(one_conv(random, network_c, network_c, 2), make_cpu_backend(pool));
    for (int c : {2, 4}) {
      Pixels lr = random_pixels(random, 10, 12, c), gray(10, 12, 1);
      for (float& v : lr.values) v = 0.1f + 0.9f * v;  // nothing transparent: no bleeding
      for (int i = 0; i < 120; i++) gray.values[size_t(i)] = lr.values[size_t(i * c + c - 1)];
      const Pixels whole = upscale(session, pool, lr, {}, {.alpha = AlphaMode::model});
      const Pixels alone = upscale(session, pool, gray);
      for (size_t i = 0; i < alone.values.size(); i++)
        REQUIRE(whole.values[i * c + c - 1] == alone.values[i]);
    }
  }
}

TEST_CASE("a network of scale 1 leaves alpha alone; dropped alpha is gone", "[runtime][alpha]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(one_conv(random, 3, 3), make_cpu_backend(pool));
  Pixels lr = random_pixels(random, 8, 6, 4);
  const Pixels hr = upscale(session, pool, lr);
  for (size_t i = 3; i < hr.values.size(); i += 4) REQUIRE(hr.values[i] == lr.values[i]);
  const Pixels rgb = upscale(session, pool, lr, {}, {.alpha = AlphaMode::drop});
  REQUIRE(rgb.image.c == 3);
  for (size_t i = 0; i < rgb.values.size(); i++) REQUIRE(std::isfinite(rgb.values[i]));
}

TEST_CASE("resizing weighs colours by alpha", "[runtime][alpha]") {
  // A white opaque pixel beside a black transparent one: white fading out, nowhere gray.
  std::vector<float> in = {1, 1, 1, 1, 0, 0, 0, 0}, out(6 * 4);
  const ups_image from{in.data(), 2, 1, 4, UPS_F32, 32};
  ups_image to{out.data(), 6, 1, 4, UPS_F32, 96};
  REQUIRE(ups_resize(&from, &to, UPS_FILTER_BILINEAR) == UPS_OK);
  for (int x = 0; x < 6; x++)
    if (out[size_t(x * 4 + 3)] > 0.01f) CHECK(out[size_t(x * 4)] == Approx(1));
}

TEST_CASE("resizing to the same size copies every bit, with alpha too", "[runtime][alpha]") {
  UPS_RANDOM(random);
  Pixels in = random_pixels(random, 5, 7, 4);
  std::vector<float> out(in.values.size());
  const ups_image from{in.values.data(), 7, 5, 4, UPS_F32, 7 * 16};
  ups_image to{out.data(), 7, 5, 4, UPS_F32, 7 * 16};
  REQUIRE(ups_resize(&from, &to, UPS_FILTER_LANCZOS3) == UPS_OK);
  CHECK(out == in.values);
}
