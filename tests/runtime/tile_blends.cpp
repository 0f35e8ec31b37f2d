// Linear and hard blending against the systems they are taken from, written down again; memory failures.
#include <new>

#include "kernels/error.h"
#include "tests/runtime/pictures.h"
#include "tests/runtime/wrapped_backend.h"

using namespace ups;
using namespace ups::testing;

namespace {

// The network alone over a crop of the picture.
Pixels run_crop(Session& session, Pool& pool, Pixels& lr, int y0, int x0, int h, int w) {
  Pixels crop(w, h, 3);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      for (int k = 0; k < 3; k++) crop.at(y, x, k) = lr.at(y0 + y, x0 + x, k);
  LoopOptions whole;
  whole.tiles.tile_px = -1;
  return upscale(session, pool, crop, whole);
}

}  // namespace

TEST_CASE("hard blending is RealESRGANer's tile loop", "[runtime][blends]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  const int w = random.integer(30, 60), h = random.integer(30, 60), tile = 20, pad = 4;
  Pixels lr = random_pixels(random, w, h, 3), expected(2 * w, 2 * h, 3);
  for (int ty = 0; ty * tile < h; ty++)
    for (int tx = 0; tx * tile < w; tx++) {
      const int y = ty * tile, x = tx * tile, y_end = std::min(y + tile, h), x_end = std::min(x + tile, w);
      const int y_pad = std::max(y - pad, 0), x_pad = std::max(x - pad, 0);
      Pixels part = run_crop(session, pool, lr, y_pad, x_pad, std::min(y_end + pad, h) - y_pad,
                             std::min(x_end + pad, w) - x_pad);
      for (int oy = 2 * y; oy < 2 * y_end; oy++)
        for (int ox = 2 * x; ox < 2 * x_end; ox++)
          for (int k = 0; k < 3; k++) expected.at(oy, ox, k) = part.at(oy - 2 * y_pad, ox - 2 * x_pad, k);
    }
  LoopOptions loop;
  loop.tiles.blend = TileBlend::hard;
  loop.tiles.tile_px = tile;
  loop.tiles.overlap_px = 2 * pad;
  CHECK(upscale(session, pool, lr, loop).values == expected.values);
}

TEST_CASE("linear blending is AUTOMATIC1111's split_grid and combine_grid", "[runtime][blends]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session session(tiny_rrdb(random, 8, 4, 1), make_cpu_backend(pool));
  const int w = random.integer(40, 90), h = random.integer(40, 90), tile = 32, overlap = 6, scale = 2;
  Pixels lr = random_pixels(random, w, h, 3), expected(scale * w, scale * h, 3);
  auto count = [&](int side) { return (side - overlap + tile - overlap - 1) / (tile - overlap); };
  auto first = [&](int side, int i) {  // as Python's int(i * dx), the last clamped
    const int n = count(side);
    const double d = n > 1 ? double(side - tile) / (n - 1) : 0;
    return std::min(int(i * d + 1e-9), side - tile);
  };
  auto mask = [&](int i, int k) {
    const int n = overlap * scale;
    return i == 0 || k >= n ? 1.0f : float(k * 255 / n) / 255;
  };
  for (int ty = 0; ty < count(h); ty++) {
    Pixels row(scale * w, scale * tile, 3);
    for (int tx = 0; tx < count(w); tx++) {
      Pixels part = run_crop(session, pool, lr, first(h, ty), first(w, tx), tile, tile);
      for (int y = 0; y < scale * tile; y++)
        for (int x = 0; x < scale * tile; x++)
          for (int k = 0; k < 3; k++) {
            float& to = row.at(y, scale * first(w, tx) + x, k);
            to = to * (1 - mask(tx, x)) + part.at(y, x, k) * mask(tx, x);
          }
    }
    for (int y = 0; y < scale * tile; y++)
      for (int x = 0; x < scale * w; x++)
        for (int k = 0; k < 3; k++) {
          float& to = expected.at(scale * first(h, ty) + y, x, k);
          to = to * (1 - mask(ty, y)) + row.at(y, x, k) * mask(ty, y);
        }
  }
  LoopOptions loop;
  loop.tiles.blend = TileBlend::linear;
  loop.tiles.tile_px = tile;
  loop.tiles.overlap_px = overlap;
  // Blocks of 4 x 4 pixels differ between a crop and the same tile only in the order of sums.
  CHECK(largest_difference(upscale(session, pool, lr, loop).values, expected.values) < 1e-5f);
}

namespace {

// Fails on the n-th run of a network over tiles larger than `most`, and on every one after it.
class FailingBackend final : public WrappedBackend {
 public:
  FailingBackend(std::unique_ptr<Backend> inner, int after, int most, bool bad_alloc)
      : WrappedBackend(std::move(inner)), after_(after), most_(most), bad_alloc_(bad_alloc) {}
  void run(const Plan& plan, const Progress& progress) override {
    if (std::max(plan.lr.h, plan.lr.w) > most_ && after_-- <= 0) {
      if (bad_alloc_) throw std::bad_alloc();
      fail(Code::memory, "injected");
    }
    WrappedBackend::run(plan, progress);
  }

 private:
  int after_, most_;
  bool bad_alloc_;
};

}  // namespace

TEST_CASE("when memory runs out, tiles shrink and the run goes on from the failed row", "[runtime][blends]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Random same(random.engine());
  Random again = same;
  for (bool bad_alloc : {false, true})
    for (int after : {0, 1, 3, 5}) {
      again = same;
      Session plain(tiny_rrdb(again, 8, 4, 1), make_cpu_backend(pool));
      again = same;
      Session failing(tiny_rrdb(again, 8, 4, 1),
                      std::make_unique<FailingBackend>(make_cpu_backend(pool), after, 100, bad_alloc));
      Pixels lr = random_pixels(random, 260, 340, 3);
      LoopOptions loop;
      loop.scale = 1.5;
      loop.tiles.tile_px = 132;
      loop.tiles.overlap_px = 40;  // covers the receptive field: any tiles give the same pixels
      REQUIRE(2 * plain.facts().context_px <= 40);
      const Pixels expected = upscale(plain, pool, lr, loop);
      const Pixels got = upscale(failing, pool, lr, loop);
      INFO("after " << after);
      CHECK(largest_difference(expected.values, got.values) < 1e-5f);
    }
}

TEST_CASE("a failure that smaller tiles cannot mend is passed on, and so is one of the receiver",
          "[runtime][blends]") {
  UPS_RANDOM(random);
  Pool pool(2);
  Session failing(tiny_rrdb(random, 8, 4, 1),
                  std::make_unique<FailingBackend>(make_cpu_backend(pool), 0, 0, false));
  Pixels lr = random_pixels(random, 100, 100, 3);
  CHECK_THROWS_WITH(upscale(failing, pool, lr), "injected");
  Session session(nearest(3, 2), make_cpu_backend(pool));
  const LoopPlan plan = plan_loop(session, lr.image, {});
  Pixels hr(200, 200, 3);
  int calls = 0;
  Output output(lr.image, hr.image, 3, {}, pool, [&](int, int, const void*) {
    calls++;
    throw std::bad_alloc();
  });
  CHECK_THROWS_AS(run_loop(session, pool, lr.image, plan, {}, output, {}, {}), std::bad_alloc);
  CHECK(calls == 1);
}
