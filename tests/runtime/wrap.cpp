// Seamless textures: the picture has no edge, so moving it around moves the result around.
#include "tests/runtime/pictures.h"

using namespace ups;
using namespace ups::testing;

namespace {

constexpr Wrap kBoth{true, true};

}  // namespace

TEST_CASE("rolling the input rolls the output: network and tiles", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  const int context = session.facts().context_px;
  Pixels lr = random_pixels(random, 4 * random.integer(5, 20), 4 * random.integer(5, 20), 3);
  LoopOptions loop;
  loop.tiles.wrap = kBoth;
  Pixels hr = upscale(session, pool, lr, loop);
  // Multiples of 4: convolutions compute in blocks of 4 x 4, so the sums are the same to the last bit.
  const int dy = 4 * random.integer(1, 9), dx = 4 * random.integer(1, 9);
  Pixels moved_lr = rolled(lr, dy, dx);
  const Pixels moved = upscale(session, pool, moved_lr, loop);
  CHECK(moved.values == rolled(hr, 2 * dy, 2 * dx).values);

  loop.tiles.tile_px = 4 * context + 16;
  loop.tiles.overlap_px = (2 * context + 7) / 8 * 8;
  const LoopPlan plan = plan_loop(session, lr.image, loop);
  const Pixels tiled = upscale(session, pool, lr, loop);
  INFO(lr.image.w << "x" << lr.image.h << ", tiles " << plan.steps[0].passes[0].grid.count());
  CHECK(tiled.values == hr.values);
}

TEST_CASE("tiles of a wrapping picture cover each pixel for every size", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(nearest(3, 2), make_cpu_backend(pool));
  for (int trial = 0; trial < 60; trial++) {
    const int w = random.integer(1, 90), h = random.integer(1, 90);
    TileRequest r;
    r.overlap_px = random.integer(0, 12);
    r.blend = TileBlend(random.integer(0, 2));
    r.halo_px = r.blend == TileBlend::linear ? 0 : random.integer(0, r.overlap_px / 2);
    r.margin = {random.integer(0, 9), random.integer(0, 9)};
    r.multiple_of = random.integer(1, 2);
    const int side = r.overlap_px + 20 + random.integer(4, 20);
    r.tile = {side, side};
    INFO(w << "x" << h << " margin " << r.margin.w << " overlap " << r.overlap_px << " tile " << side);
    const TileGrid grid = tile_grid({h, w}, r);
    const Pixels lr = random_pixels(random, w, h, 3);
    const ChannelPlan channels = plan_channels(3, 3, 3);
    Pixels hr(2 * w, 2 * h, 3);
    int next = 0;
    run_pass(session, pool, {lr.image, channels, {}, {r.margin.w > 0, r.margin.h > 0}, 1}, grid, &next,
             [&](int y, int n, const float* rows) {
               std::copy(rows, rows + int64_t(n) * 2 * w * 3, hr.values.data() + int64_t(y) * 2 * w * 3);
             },
             {});
    CHECK(next == 2 * h);
    for (int y = 0; y < 2 * h; y++)
      for (int x = 0; x < 2 * w; x++)
        REQUIRE(std::abs(hr.at(y, x) - lr.values[(size_t(y / 2) * w + x / 2) * 3]) < 1e-6f);
  }
}

TEST_CASE("small tiles wrap too, with a lesser margin", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  const int context = session.facts().context_px;
  for (Extent side : {Extent{48, 64}, Extent{41, 67}}) {
    Pixels lr = random_pixels(random, side.w, side.h, 3);
    LoopOptions loop;
    loop.tiles.wrap = kBoth;
    const Pixels whole = upscale(session, pool, lr, loop);
    for (auto [tile, overlap] :
         {std::pair{8, 0}, {12, 0}, {24, 0}, {24, 8}, {3 * context, 0}, {3 * context, 8}}) {
      loop.tiles.tile_px = tile, loop.tiles.overlap_px = overlap;
      const TileGrid grid = plan_loop(session, lr.image, loop).steps[0].passes[0].grid;
      INFO(side.w << "x" << side.h << " in tiles of " << tile << ", overlap " << overlap);
      CHECK(grid.x.tile <= tile);
      CHECK(grid.x.first[0] < 0);
      const Pixels tiled = upscale(session, pool, lr, loop);
      // Where one tile alone holds all a pixel depends on, nothing is missing.
      const auto whole_in = [&](const TileAxis& a, int at) {
        for (int i = 0; i < a.count(); i++) {
          const Share s = a.share(i, 1);
          if (at >= s.begin + s.up && at < s.end - s.down && at - a.first[i] >= context &&
              a.first[i] + a.tile - at > context)
            return true;
        }
        return false;
      };
      int checked = 0;
      for (int y = 0; y < side.h; y++) {
        for (int x = 0; x < side.w; x++) {
          if (!whole_in(grid.y, y) || !whole_in(grid.x, x)) continue;
          checked++;
          const size_t at = (size_t(2 * y) * size_t(2 * side.w) + size_t(2 * x)) * 3;
          REQUIRE(std::abs(tiled.values[at] - whole.values[at]) < 1e-5f);
        }
      }
      CHECK((checked > 0) == (tile > 2 * context + overlap));
    }
  }
  Pixels lr = random_pixels(random, 40, 40, 3);
  LoopOptions loop;
  loop.tiles.wrap = kBoth, loop.tiles.tile_px = 32, loop.tiles.overlap_px = 32;
  CHECK_THROWS_WITH(upscale(session, pool, lr, loop), Catch::Contains("larger tile or a smaller overlap"));
}

TEST_CASE("rolling the input rolls the output: resampling, blending and steps", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(one_conv(random, 3, 3, 2), make_cpu_backend(pool));
  const int dy = random.integer(1, 19), dx = random.integer(1, 23);
  for (double scale : {0.5, 1.5, 3.0, 5.0})
    for (int steps : {1, 2}) {
      // 20 and 24 px: whole numbers of output pixels for every input pixel moved two steps on.
      Pixels lr = random_pixels(random, 24, 20, 3);
      LoopOptions loop;
      loop.scale = scale, loop.steps = steps;
      loop.mode = steps > 1 ? StepMode::simple : StepMode::native;
      if (steps > 1 && scale != 3 && scale != 5) continue;  // the middle step would move by half pixels
      loop.tiles.wrap = kBoth;
      const PictureOptions half{.source_share = 0.5};
      Pixels hr = upscale(session, pool, lr, loop, half);
      Pixels moved_lr = rolled(lr, 2 * dy, 2 * dx);
      const Pixels moved = upscale(session, pool, moved_lr, loop, half);
      INFO("scale " << scale << " steps " << steps);
      // Filter weights are computed per output pixel, in double, from coordinates of up to 120: they differ
      // by some 1e-14 relative, then are rounded to float once: sums of 36 terms differ by a few ulp.
      CHECK(largest_difference(moved.values, rolled(hr, int(2 * dy * scale), int(2 * dx * scale)).values) <
            2e-5f);
    }
}

TEST_CASE("one axis wraps, the other does not", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(one_conv(random, 3, 3, 2), make_cpu_backend(pool));
  Pixels lr = random_pixels(random, 16, 16, 3);
  LoopOptions plain, x_only;
  plain.scale = x_only.scale = 1.5;
  x_only.tiles.wrap = {.x = true};
  const Pixels a = upscale(session, pool, lr, plain), b = upscale(session, pool, lr, x_only);
  CHECK(largest_difference(a.values, b.values) > 1e-3f);
  // Away from the left and right edges nothing changes.
  Pixels &p = const_cast<Pixels&>(a), &q = const_cast<Pixels&>(b);
  for (int y = 0; y < 24; y++)
    for (int x = 9; x < 15; x++) CHECK(p.at(y, x) == Approx(q.at(y, x)).margin(2e-5));
}

TEST_CASE("the resampler wraps alpha, too", "[runtime][wrap]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(nearest(3, 2), make_cpu_backend(pool));
  Pixels lr = random_pixels(random, 12, 10, 4);
  for (size_t i = 3; i < lr.values.size(); i += 4) lr.values[i] = random.integer(0, 1) ? 0 : 0.8f;
  LoopOptions loop;
  loop.scale = 3, loop.tiles.wrap = kBoth;
  for (AlphaMode mode : {AlphaMode::model, AlphaMode::resample}) {
    Pixels hr = upscale(session, pool, lr, loop, {.alpha = mode});
    Pixels moved_lr = rolled(lr, 7, 5);
    const Pixels moved = upscale(session, pool, moved_lr, loop, {.alpha = mode});
    CHECK(largest_difference(moved.values, rolled(hr, 21, 15).values) < 2e-5f);
  }
}
