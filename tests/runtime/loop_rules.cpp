// What a loop does beside network passes, on networks that only repeat pixels.
#include "kernels/enhance.h"
#include "kernels/error.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/picture8.h"
#include "tests/runtime/pictures.h"

using namespace ups;
using ups::testing::Picture8;
using ups::testing::random_picture8;
using ups::testing::upscale;

TEST_CASE("a native run takes at most three passes and resamples the rest", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 5, 4, 3);
  LoopOptions o;
  o.scale = 16;
  o.filter = Filter::nearest;
  REQUIRE(plan_loop(session, lr.image, o).steps[0].passes.size() == 3);
  const Picture8 hr = upscale(session, pool, lr, o);
  REQUIRE(hr.image.w == 80);
  for (int y = 0; y < 64; y++)
    for (int x = 0; x < 80; x++) REQUIRE(hr.bytes[(y * 80 + x) * 3] == lr.bytes[(y / 16 * 5 + x / 16) * 3]);
  o.mode = StepMode::once, o.steps = 3;
  const LoopPlan once = plan_loop(session, lr.image, o);
  REQUIRE(once.steps.size() == 1);
  REQUIRE(once.steps[0].passes.size() == 1);
  CHECK(upscale(session, pool, lr, o).bytes == hr.bytes);  // both only repeat pixels
  o.rules.faithful = true;
  CHECK_THROWS_AS(plan_loop(session, lr.image, o), Error);
}

TEST_CASE("faithful steps deliver the sizes and the middle that the node keeps", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 43, 35, 3);
  LoopOptions o;
  o.mode = StepMode::simple;
  o.rules.faithful = true;
  // A factor of one never runs the network: only N - 1 steps, each cut to multiples of 8.
  o.scale = 1, o.steps = 2;
  Picture8 hr = upscale(session, pool, lr, o);
  REQUIRE(hr.image.extent() == Extent{32, 40});
  for (int y = 0; y < 32; y++)
    for (int x = 0; x < 40 * 3; x++) REQUIRE(hr.bytes[y * 120 + x] == lr.bytes[(y + 1) * 129 + 3 + x]);
  o.steps = 1;
  CHECK(upscale(session, pool, lr, o).bytes == hr.bytes);
  o.scale = 1.7, o.steps = 2;  // 40x32 -> 54x43, cut to 48x40 -> 68x54, cut to 64x48
  std::vector<Extent> sizes;
  hr = upscale(session, pool, lr, o, nullptr, &sizes);
  CHECK(sizes == std::vector<Extent>{{40, 48}});
  CHECK(hr.image.extent() == Extent{48, 64});
  CHECK(loop_output({35, 43}, 2, o) == Extent{48, 64});
  Picture8 alpha = random_picture8(random, 43, 35, 4);
  CHECK_THROWS_AS(plan_loop(session, alpha.image, o), Error);
}

TEST_CASE("loopback follows its curve, or the brightness of the picture", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 40, 30, 3);
  LoopOptions o;
  o.mode = StepMode::loopback;
  o.steps = 4, o.scale = 2;
  std::vector<Extent> sizes;
  CHECK(upscale(session, pool, lr, o, nullptr, &sizes).image.extent() == Extent{60, 80});
  CHECK(sizes == std::vector<Extent>{{30, 40}, {37, 49}, {45, 60}});
  o.rules.adaptive = 1;
  for (int level : {0, 100, 255}) {
    std::fill(lr.bytes.begin(), lr.bytes.end(), uint8_t(level));
    sizes.clear();
    CHECK(plan_loop(session, lr.image, o).at_most);
    CHECK(upscale(session, pool, lr, o, nullptr, &sizes).image.extent() == Extent{60, 80});
    const int step = int(7 * (level / 255.0));  // floor(30 / 4) = 7 px at most
    CHECK(sizes == std::vector<Extent>{{30 + step, (30 + step) * 4 / 3},
                                       {30 + 2 * step, (30 + 2 * step) * 4 / 3},
                                       {30 + 3 * step, (30 + 3 * step) * 4 / 3}});
  }
}

TEST_CASE("every step has its filter, the last one all that follow", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 10, 10, 3);
  LoopOptions o;
  o.mode = StepMode::geometric;
  o.steps = 3, o.scale = 5;
  o.filter = Filter::box;
  const Picture8 plain = upscale(session, pool, lr, o);
  o.rules.filters = {Filter::box};
  CHECK(upscale(session, pool, lr, o).bytes == plain.bytes);
  o.rules.filters = {Filter::nearest, Filter::lanczos3};
  const LoopPlan plan = plan_loop(session, lr.image, o);
  CHECK(plan.steps[0].filter == Filter::nearest);
  CHECK(plan.steps[2].filter == Filter::lanczos3);
  CHECK(upscale(session, pool, lr, o).bytes != plain.bytes);
}

TEST_CASE("the colours of the input hold after every step", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::tiny_rrdb(random), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 40, 24, 3);
  for (auto& b : lr.bytes) b = uint8_t(64 + b / 4);
  LoopOptions o;
  o.mode = StepMode::simple;
  o.steps = 2, o.scale = 2;
  const LoopPlan plain = plan_loop(session, lr.image, o);
  const Picture8 off = upscale(session, pool, lr, o);
  for (ColourFix fix : {ColourFix::lowfreq, ColourFix::mean, ColourFix::histogram}) {
    o.rules.colour_fix = fix;
    CHECK(plan_loop(session, lr.image, o).peak_bytes >= plain.peak_bytes);
    const Picture8 on = upscale(session, pool, lr, o);
    INFO("fix " << int(fix));
    CHECK(on.bytes != off.bytes);
  }
}

TEST_CASE("a step may have a session of its own", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  const uint64_t seed = random.engine();
  auto session_of = [&](uint64_t k) {
    ups::testing::Random own(seed + k);
    return std::make_unique<Session>(ups::testing::tiny_rrdb(own), make_cpu_backend(pool));
  };
  auto a = session_of(0), b = session_of(1);
  // In floats: of 8 bits, a random network may saturate every one.
  ups::testing::Pixels lr = ups::testing::random_pixels(random, 12, 10, 3);
  LoopOptions o;
  o.mode = StepMode::simple;
  o.steps = 2, o.scale = 2;
  const auto all_a = upscale(*a, pool, lr, o).values, all_b = upscale(*b, pool, lr, o).values;
  std::vector<int> asked;
  o.session_at = [&](int k) -> Session& {
    asked.push_back(k);
    return k == 0 ? *a : *b;
  };
  const auto both = upscale(*a, pool, lr, o).values;
  CHECK(asked == std::vector<int>{0, 1});
  CHECK(both != all_a);
  CHECK(both != all_b);
  o.session_at = [&](int) -> Session& { return *b; };
  CHECK(upscale(*a, pool, lr, o).values == all_b);
}

TEST_CASE("the last touch is Pillow's filters on the finished picture", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  for (int c : {1, 3}) {
    Picture8 lr = random_picture8(random, 13, 11, c);
    LoopOptions o;
    Picture8 want = upscale(session, pool, lr, o);
    o.rules.post = {1.5f, 0.9f, 1.2f, 1.1f, 2, 1, 1, true};
    const Extent e = want.image.extent();
    uint8_t* p = want.bytes.data();
    enhance_u8(p, e, c, Enhance::sharpness, 1.5f, pool);
    enhance_u8(p, e, c, Enhance::brightness, 0.9f, pool);
    enhance_u8(p, e, c, Enhance::color, 1.2f, pool);
    enhance_u8(p, e, c, Enhance::contrast, 1.1f, pool);
    for (Kernel k : {Kernel::detail, Kernel::detail, Kernel::smooth, Kernel::blur, Kernel::contour})
      filter_u8(p, e, c, k, pool);
    CHECK(upscale(session, pool, lr, o).bytes == want.bytes);
  }
}
