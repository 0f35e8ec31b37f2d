// Passes, tiles and the loop driver on networks small enough to know the answer.
#include "runtime/loop.h"

#include <array>

#include "kernels/error.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/picture8.h"

using namespace ups;
using ups::testing::Picture8;
using ups::testing::random_picture8;
using ups::testing::upscale;

TEST_CASE("tiles give exactly the untiled result when the halo covers the receptive field",
          "[runtime][upscaler]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  const int context = session.facts().context_px;
  Picture8 lr = random_picture8(random, 4 * random.integer(15, 30), 4 * random.integer(15, 30), 3);
  LoopOptions whole, tiled;
  whole.tiles.tile_px = -1;
  tiled.tiles.tile_px = 2 * context + 20;
  tiled.tiles.overlap_px = (2 * context + 7) / 8 * 8;
  REQUIRE(plan_loop(session, lr.image, tiled).steps[0].passes[0].grid.count() > 1);
  CHECK(upscale(session, pool, lr, whole).bytes == upscale(session, pool, lr, tiled).bytes);
}

TEST_CASE("memory is bounded by the budget whatever the image's size", "[runtime][upscaler]") {
  UPS_RANDOM(random);
  Pool pool(1);
  Session session(ups::testing::tiny_rrdb(random), make_cpu_backend(pool));
  TileOptions o;
  o.budget_bytes = int64_t(40) << 20;
  for (Extent e : {Extent{100, 100}, {3000, 2000}, {1, 5000}, {5000, 1}, {20000, 15000}}) {
    const TileGrid grid = choose_tiles(session, e, o);
    INFO(e.w << "x" << e.h << " tile " << grid.x.tile << "x" << grid.y.tile);
    // The blender's band grows with the image's width, which is no tile's business; the rest must fit.
    CHECK(int64_t(session.working_bytes(grid.tile())) <= o.budget_bytes);
  }
}

TEST_CASE("any tile that is asked for is met; small ones overlap less", "[runtime][upscaler]") {
  UPS_RANDOM(random);
  Pool pool(1);
  Session session(ups::testing::tiny_rrdb(random), make_cpu_backend(pool));
  for (int tile : {1, 2, 4, 7, 8, 16, 32, 64, 100}) {
    const TileGrid grid = choose_tiles(session, {150, 130}, {.tile_px = tile});
    INFO("tile " << tile << " became " << grid.x.tile << "x" << grid.y.tile);
    CHECK(grid.x.tile <= tile);
    CHECK(grid.y.tile <= tile);
    CHECK(grid.x.first.back() + grid.x.tile >= 130);
    CHECK(grid.y.first.back() + grid.y.tile >= 150);
  }
  CHECK_THROWS_AS(choose_tiles(session, {150, 130}, {.tile_px = 16, .overlap_px = 16}), Error);
}

TEST_CASE("every size is met exactly in every mode", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 2), make_cpu_backend(pool));
  for (int trial = 0; trial < 40; trial++) {
    const int w = random.integer(1, 30), h = random.integer(1, 30);
    LoopOptions o;
    o.scale = random.uniform(0.3f, 7.0f);
    o.steps = random.integer(1, 4);
    o.mode = std::array{StepMode::native, StepMode::simple, StepMode::geometric,
                        StepMode::once}[size_t(random.integer(0, 3))];
    Picture8 lr = random_picture8(random, w, h, 3);
    int seen = 0;
    const Picture8 hr = upscale(session, pool, lr, o, &seen);
    INFO(w << "x" << h << " by " << o.scale << " in " << o.steps);
    CHECK(hr.image.w == std::max<int64_t>(1, std::llround(w * o.scale)));
    CHECK(hr.image.h == std::max<int64_t>(1, std::llround(h * o.scale)));
    CHECK(seen == (is_one_step(o.mode) ? 0 : o.steps - 1));
  }
}

TEST_CASE("repeated pixels survive one pass bit for bit, for every kind of picture", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  for (int network_c : {1, 3, 4})
    for (int c = 1; c <= 4; c++) {
      Session session(ups::testing::nearest(network_c, 2), make_cpu_backend(pool));
      Picture8 lr = random_picture8(random, 11, 7, c);
      const Picture8 hr = upscale(session, pool, lr, {});
      INFO("picture " << c << ", network " << network_c);
      const bool alpha = c % 2 == 0, resampled_alpha = alpha && network_c != 4;
      for (int y = 0; y < 14; y++)
        for (int x = 0; x < 22; x++)
          for (int k = 0; k < (resampled_alpha ? c - 1 : c); k++)
            REQUIRE(int(hr.bytes[(y * 22 + x) * c + k]) == int(lr.bytes[(y / 2 * 11 + x / 2) * c + k]));
    }
}

TEST_CASE("constant alpha stays constant", "[runtime][output]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::nearest(3, 4), make_cpu_backend(pool));
  for (int value : {0, 1, 128, 254, 255}) {
    Picture8 lr = random_picture8(random, 9, 13, 4);
    for (size_t i = 3; i < lr.bytes.size(); i += 4) lr.bytes[i] = uint8_t(value);
    LoopOptions o;
    o.scale = 3.3;
    o.steps = 2;
    o.mode = StepMode::geometric;
    const Picture8 hr = upscale(session, pool, lr, o);
    for (size_t i = 3; i < hr.bytes.size(); i += 4) REQUIRE(int(hr.bytes[i]) == value);
  }
}

TEST_CASE("a cancelled run stops with Code::cancelled", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(1);
  Session session(ups::testing::tiny_rrdb(random), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 40, 40, 3);
  const LoopPlan plan = plan_loop(session, lr.image, {});
  Picture8 hr(80, 80, 3);
  Output output(lr.image, hr.image, 3, {}, pool, {});
  int calls = 0;
  try {
    run_loop(session, pool, lr.image, plan, {}, output, {},
             [&](double) { check(++calls < 5, Code::cancelled, "cancelled"); });
    FAIL("not cancelled");
  } catch (const Error& e) {
    CHECK(e.code == Code::cancelled);
  }
}

TEST_CASE("progress rises from 0 to 1", "[runtime][loop]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(ups::testing::tiny_rrdb(random), make_cpu_backend(pool));
  Picture8 lr = random_picture8(random, 25, 15, 3);
  LoopOptions o;
  o.steps = 2, o.mode = StepMode::geometric, o.scale = 6;
  o.tiles.tile_px = 48, o.tiles.overlap_px = 8;
  const LoopPlan plan = plan_loop(session, lr.image, o);
  REQUIRE(plan.steps[0].passes.size() == 2);
  Picture8 hr(plan.hr.w, plan.hr.h, 3);
  Output output(lr.image, hr.image, 3, {}, pool, {});
  double last = 0;
  run_loop(session, pool, lr.image, plan, o, output, {}, [&](double done) {
    CHECK(done >= last - 1e-9);
    CHECK(done <= 1 + 1e-9);
    last = done;
  });
  CHECK(last == Approx(1));
}
