// Passes whose picture stays on the device give the picture of passes on the host.
#include "kernels/error.h"
#include "tests/simt/runtime/pass_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

// Largest difference of two results in units of their depth (f32: of 1).
double difference(const LoopResult& a, const LoopResult& b) {
  REQUIRE(a.hr.bytes.size() == b.hr.bytes.size());
  REQUIRE(a.steps.size() == b.steps.size());
  double worst = 0;
  for (size_t i = 0; i < a.hr.samples(); i++)
    worst = std::max(worst, std::abs(double(a.hr.value(i)) - b.hr.value(i)));
  for (size_t i = 0; i < a.steps.size(); i++)
    worst = std::max(worst, std::abs(double(a.steps[i]) - b.steps[i]));
  return worst;
}

}  // namespace

TEST_CASE("a pass on the device gives the host's picture, tiled or not, at every depth", "[simt][pass]") {
  UPS_RANDOM(random);
  const Network rrdb = tiny_rrdb(random, 8, 8, 1);
  struct Case {
    int tile, overlap, c;
    Precision precision;
  };
  for (const Case& c : {Case{-1, 0, 3, Precision::automatic}, Case{12, 5, 3, Precision::fp16},
                        Case{16, 4, 4, Precision::fp32}, Case{14, -1, 3, Precision::bf16},
                        Case{-1, 0, 1, Precision::automatic}, Case{13, 8, 2, Precision::automatic}}) {
    const Depth in = Depth(random.integer(0, 2)), out = Depth(random.integer(0, 2));
    INFO("tile " << c.tile << ", overlap " << c.overlap << ", channels " << c.c << ", depths " << int(in)
                 << " -> " << int(out));
    const Extent e{random.integer(20, 33), random.integer(20, 33)};
    Pixels lr = random_pixels(random, {e.h, e.w + 3}, c.c, in);
    lr.image.w = e.w;  // of longer rows
    LoopOptions o;
    o.tiles.tile_px = c.tile, o.tiles.overlap_px = c.overlap;
    Session device = device_session(rrdb, c.precision), host = host_session(rrdb, c.precision);
    const LoopResult a = run_the_loop(device, lr.image, out, o), b = run_the_loop(host, lr.image, out, o);
    CHECK(a.hr.bytes == b.hr.bytes);
    CHECK(run_the_loop(device, lr.image, out, o).hr.bytes == a.hr.bytes);
  }
}

TEST_CASE("a loop whose picture stays on the device gives the host's pictures", "[simt][pass]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 6; round++) {
    const Network net = nearest(round % 2 ? 3 : 4, 2);
    const int c = round % 2 ? 3 : 4;
    const Extent e{random.integer(5, 14), random.integer(5, 14)};
    const Pixels lr = random_pixels(random, e, c, Depth(round % 3));
    LoopOptions o;
    o.scale = random.uniform(0.6f, 4.5f);
    o.steps = random.integer(1, 3);
    o.mode = StepMode(random.integer(0, 2));
    o.filter = Filter(random.integer(0, 5));
    o.tiles.tile_px = round < 2 ? -1 : 9, o.tiles.overlap_px = round < 4 ? -1 : 2;
    Session device = device_session(net, Precision::fp32), host = host_session(net, Precision::fp32);
    const Depth out = Depth(random.integer(0, 2));
    INFO("scale " << o.scale << ", steps " << o.steps << ", filter " << filter_name(o.filter) << ", depth "
                  << int(out));
    // Rounding in float, a few passes of it; at a rounding border one level more.
    const double level = out == Depth::u8 ? 1 / 255.0 : out == Depth::u16 ? 1 / 65535.0 : 0;
    CHECK(difference(run_the_loop(device, lr.image, out, o), run_the_loop(host, lr.image, out, o)) <=
          1e-5 + level * 1.001);
  }
}

TEST_CASE("only the tiles that overflow are computed again, and none is seen bad", "[simt][pass]") {
  UPS_RANDOM(random);
  const Network net = nearest(3, 2);
  Pixels lr = random_pixels(random, {20, 31}, 3, Depth::f32);
  float* v = reinterpret_cast<float*>(lr.bytes.data());
  for (size_t i = 0; i < lr.samples(); i++)
    v[i] = float(random.integer(0, 255)) / 256;  // exact in every format
  v[(4 * 31 + 25) * 3] = 0x1p20f;                // beyond f16, exact in bf16
  v[(15 * 31 + 3) * 3 + 2] = 0x1p30f;
  v[(9 * 31 + 14) * 3 + 1] = 0x1.ffcp127f;  // rounds to infinity in bf16, exact in tf32
  for (int tile : {-1, 9}) {
    LoopOptions o;
    o.tiles.tile_px = tile, o.tiles.overlap_px = -1;
    Session device = device_session(net, Precision::fp16);
    const LoopResult hr = run_the_loop(device, lr.image, Depth::f32, o);
    bool same = true;
    for (int y = 0; y < 40; y++)
      for (int x = 0; x < 62; x++)
        for (int c = 0; c < 3; c++) {
          const float want = v[(y / 2 * 31 + x / 2) * 3 + c];
          same = same && hr.hr.value(size_t((y * 62 + x) * 3 + c)) == want;
        }
    INFO("tile " << tile);
    CHECK(same);
  }
}

TEST_CASE("a tile that comes out black of an input that is not is computed again", "[simt][pass]") {
  UPS_RANDOM(random);
  Network net = nearest(3, 2);
  auto faint = std::make_shared<StateDict>();
  for (const auto& [key, entry] : net.weights->entries()) {
    std::vector<float> values = net.weights->floats(key);
    for (float& value : values) value *= 0x1p-20f;
    faint->add_owned(key, entry.shape, values);
  }
  net.weights = faint;
  const Pixels lr = random_pixels(random, {12, 17}, 3, Depth::f32);
  float* v = reinterpret_cast<float*>(lr.image.data);
  for (size_t i = 0; i < lr.samples(); i++)
    v[i] = float(random.integer(0, 255)) * 0x1p-16f;  // exact in f16; the output, times 2^-20, is zero there
  for (int tile : {-1, 9}) {
    LoopOptions o;
    o.tiles.tile_px = tile, o.tiles.overlap_px = -1;
    Session device = device_session(net, Precision::fp16), host = host_session(net, Precision::fp16);
    for (Session* session : {&device, &host}) {
      const LoopResult hr = run_the_loop(*session, lr.image, Depth::f32, o);
      bool same = true;
      for (int y = 0; y < 24; y++)
        for (int x = 0; x < 34; x++)
          for (int c = 0; c < 3; c++)
            same = same &&
                   hr.hr.value(size_t((y * 34 + x) * 3 + c)) == v[(y / 2 * 17 + x / 2) * 3 + c] * 0x1p-20f;
      INFO("tile " << tile << (session == &host ? ", joined on the host" : ""));
      CHECK(same);
    }
  }
}

TEST_CASE("a run on the device can be stopped, and the next one is whole", "[simt][pass]") {
  UPS_RANDOM(random);
  Session device = device_session(nearest(3, 2), Precision::fp32);
  const Pixels lr = random_pixels(random, {20, 20}, 3, Depth::u8);
  LoopOptions o;
  o.tiles.tile_px = 6, o.tiles.overlap_px = -1;
  Pool pool(1);
  const LoopPlan plan = plan_loop(device, lr.image, o);
  Pixels hr(plan.hr, 3, Depth::u8);
  int rows = 0;
  Output output(lr.image, hr.image, 3, {.filter = o.filter}, pool, [&](int, int, const void*) {
    if (++rows == 2) fail(Code::cancelled, "stop");
  });
  CHECK_THROWS_AS(run_loop(device, pool, lr.image, plan, o, output, {}, {}), Error);
  int next = 0;  // no row of the stopped run comes again
  Output whole(lr.image, hr.image, 3, {.filter = o.filter}, pool, [&](int y, int n, const void*) {
    CHECK(y == next);
    next = y + n;
  });
  run_loop(device, pool, lr.image, plan, o, whole, {}, {});
  CHECK(next == plan.hr.h);
  const LoopResult again = run_the_loop(device, lr.image, Depth::u8, o);
  Session other = host_session(nearest(3, 2), Precision::fp32);
  CHECK(again.hr.bytes == run_the_loop(other, lr.image, Depth::u8, o).hr.bytes);
}
