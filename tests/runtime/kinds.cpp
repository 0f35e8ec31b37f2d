// Data, normal maps and masks; the source mixed into the result.
#include "kernels/error.h"
#include "tests/runtime/pictures.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("channels of data do not see each other", "[runtime][kinds]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(one_conv(random, 1, 1, 2), make_cpu_backend(pool));
  for (int c : {2, 4}) {
    Pixels lr = random_pixels(random, 9, 7, c);
    lr.at(3, 3, c - 1) = 0;  // would be transparent
    const Pixels all = upscale(session, pool, lr, {}, {.kind = Kind::data});
    for (int k = 0; k < c; k++) {
      Pixels one(9, 7, 1);
      for (size_t i = 0; i < one.values.size(); i++) one.values[i] = lr.values[i * c + k];
      const Pixels alone = upscale(session, pool, one);
      for (size_t i = 0; i < alone.values.size(); i++) REQUIRE(all.values[i * c + k] == alone.values[i]);
    }
  }
}

TEST_CASE("normal maps stay unit vectors through network and resampling", "[runtime][kinds]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(nearest(3, 2), make_cpu_backend(pool));
  for (int c : {3, 4}) {
    Pixels lr = random_pixels(random, 16, 11, c);
    lr.at(0, 0, 0) = lr.at(0, 0, 1) = lr.at(0, 0, 2) = 0.5f;  // no direction: stays
    LoopOptions loop;
    loop.scale = 2.7, loop.steps = 2, loop.mode = StepMode::geometric;
    Pixels hr = upscale(session, pool, lr, loop, {.kind = Kind::normal});
    for (int y = 4; y < hr.image.h; y++)
      for (int x = 4; x < hr.image.w; x++) {
        float length = 0;
        for (int k = 0; k < 3; k++) length += std::pow(2 * hr.at(y, x, k) - 1, 2.0f);
        REQUIRE(std::sqrt(length) == Approx(1).margin(1e-5));
      }
  }
  Pixels flat(6, 6, 1);
  CHECK_THROWS_WITH(upscale(session, pool, flat, {}, {.kind = Kind::normal}),
                    Catch::Contains("expected at least 3"));
}

TEST_CASE("masks get no new values", "[runtime][kinds]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(one_conv(random, 3, 3, 2), make_cpu_backend(pool));
  LoopOptions loop;
  loop.scale = 1.6;
  Pixels two(20, 15, 1);
  for (float& v : two.values) v = random.integer(0, 1) ? 0.25f : 0.75f;
  for (float v : upscale(session, pool, two, loop, {.kind = Kind::mask}).values)
    REQUIRE((v == 0.25f || v == 0.75f));
  // More values, more channels: each pixel is one of the source.
  for (int c = 1; c <= 4; c++) {
    Pixels labels = random_pixels(random, 20, 15, c);
    Pixels hr = upscale(session, pool, labels, loop, {.kind = Kind::mask});
    REQUIRE(hr.image.w == 32);
    for (int y = 0; y < hr.image.h; y++)
      for (int x = 0; x < hr.image.w; x++)
        for (int k = 0; k < c; k++)
          REQUIRE(hr.at(y, x, k) == labels.at(int((y + 0.5) / 1.6), int((x + 0.5) / 1.6), k));
  }
}

TEST_CASE("blending goes linearly from the network to the resampled source", "[runtime][kinds]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random), make_cpu_backend(pool));
  for (int c : {1, 3, 4}) {
    Pixels lr = random_pixels(random, 21, 17, c);
    for (float& v : lr.values) v = 0.1f + 0.9f * v;
    LoopOptions loop;
    loop.scale = 2.5;
    const Pixels network = upscale(session, pool, lr, loop);
    const Pixels mixed = upscale(session, pool, lr, loop, {.source_share = 0.25});
    const Pixels source = upscale(session, pool, lr, loop, {.source_share = 1});
    Pixels resized(source.image.w, source.image.h, c);
    resize(lr.values.data(), lr.image.extent(), c, resized.values.data(), resized.image.extent(),
           Filter::lanczos3, pool);
    CHECK(largest_difference(source.values, resized.values) < 1e-5f);
    std::vector<float> expected;
    for (size_t i = 0; i < network.values.size(); i++)
      expected.push_back(0.75f * network.values[i] + 0.25f * resized.values[i]);
    CHECK(largest_difference(mixed.values, expected) < 1e-5f);
  }
  Pixels lr = random_pixels(random, 4, 4, 3);
  CHECK_THROWS_AS(upscale(session, pool, lr, {}, {.source_share = 1.5}), Error);
}

TEST_CASE("an exact size is met whatever the aspect", "[runtime][kinds]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(nearest(3, 2), make_cpu_backend(pool));
  for (int trial = 0; trial < 10; trial++) {
    Pixels lr = random_pixels(random, random.integer(1, 20), random.integer(1, 20), 3);
    LoopOptions loop;
    loop.size = {random.integer(1, 60), random.integer(1, 60)};
    loop.steps = random.integer(1, 3);
    loop.mode = loop.steps > 1 ? StepMode::geometric : StepMode::native;
    CHECK(upscale(session, pool, lr, loop).image.extent() == loop.size);
  }
}
