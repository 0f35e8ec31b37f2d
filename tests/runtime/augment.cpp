// Test-time augmentation: turning and turning back, the mean.
#include "runtime/augment.h"

#include "kernels/error.h"
#include "tests/runtime/pictures.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("the eight symmetries are different, and turning back undoes each", "[runtime][tta]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Pixels in = random_pixels(random, 5, 3, 2);
  const Tensor from = dense_f32(in.values.data(), 3, 5, 2);
  std::vector<std::vector<float>> seen;
  for (Symmetry s : symmetries(8)) {
    std::vector<float> turned(30), back(30);
    const Tensor t = dense_f32(turned.data(), s.transpose ? 5 : 3, s.transpose ? 3 : 5, 2);
    turn(from, s, t, pool);
    add_turned_back(t, s, dense_f32(back.data(), 3, 5, 2), pool);
    CHECK(back == in.values);
    for (const auto& other : seen) CHECK(other != turned);
    seen.push_back(turned);
  }
  // 2: a mirror; 4: flips, no transposition.
  CHECK((symmetries(2)[1].flip_x && !symmetries(2)[1].flip_y && !symmetries(2)[1].transpose));
  for (Symmetry s : symmetries(4)) CHECK(!s.transpose);
  CHECK_THROWS_AS(symmetries(3), Error);
}

TEST_CASE("a symmetric operator is its own augmentation", "[runtime][tta]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(nearest(3, 2), make_cpu_backend(pool));
  for (int n : {2, 4, 8}) {
    Pixels lr = random_pixels(random, random.integer(1, 40), random.integer(1, 40), 3);
    LoopOptions loop;
    const Pixels plain = upscale(session, pool, lr, loop);
    loop.tiles.tta = n;
    loop.tiles.tile_px = random.integer(0, 1) ? 24 : 0;
    loop.tiles.overlap_px = 6;
    // A sum of n equal floats rounds at most n - 2 times.
    CHECK(largest_difference(plain.values, upscale(session, pool, lr, loop).values) < 1e-6f);
  }
}

TEST_CASE("augmentation is the mean over the turned pictures", "[runtime][tta]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  for (int n : {2, 4, 8}) {
    const int w = 18, h = 11;
    Pixels lr = random_pixels(random, w, h, 3);
    std::vector<double> sum(size_t(4 * w * h) * 3);
    for (Symmetry s : symmetries(n)) {
      Pixels turned(s.transpose ? h : w, s.transpose ? w : h, 3);
      turn(dense_f32(lr.values.data(), h, w, 3), s,
           dense_f32(turned.values.data(), turned.image.h, turned.image.w, 3), pool);
      Pixels hr = upscale(session, pool, turned);
      std::vector<float> back(sum.size());
      add_turned_back(dense_f32(hr.values.data(), hr.image.h, hr.image.w, 3), s,
                      dense_f32(back.data(), 2 * h, 2 * w, 3), pool);
      for (size_t i = 0; i < sum.size(); i++) sum[i] += back[i] / n;
    }
    LoopOptions loop;
    loop.tiles.tta = n;
    const Pixels mean = upscale(session, pool, lr, loop);
    for (size_t i = 0; i < sum.size(); i++) REQUIRE(mean.values[i] == Approx(sum[i]).margin(1e-6));
    // And it makes the network symmetric.
    const Symmetry mirror = symmetries(2)[1];
    Pixels mirrored(w, h, 3), expected(2 * w, 2 * h, 3);
    turn(dense_f32(lr.values.data(), h, w, 3), mirror, dense_f32(mirrored.values.data(), h, w, 3), pool);
    turn(dense_f32(const_cast<float*>(mean.values.data()), 2 * h, 2 * w, 3), mirror,
         dense_f32(expected.values.data(), 2 * h, 2 * w, 3), pool);
    CHECK(largest_difference(upscale(session, pool, mirrored, loop).values, expected.values) < 1e-5f);
  }
}

TEST_CASE("the plan counts what augmentation needs", "[runtime][tta]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random), make_cpu_backend(pool));
  const int64_t one = TileRunner::bytes(session, {40, 60}, 1),
                eight = TileRunner::bytes(session, {40, 60}, 8);
  CHECK(one == int64_t(session.working_bytes({40, 60})));
  CHECK(eight >= one + 40 * 60 * (3 + 4 * 3) * 4);
}
