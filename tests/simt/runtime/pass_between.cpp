// Loops with work for the host between passes or after them: the device must not leave it out.
#include "tests/simt/runtime/pass_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

struct Variant {
  const char* name;
  int network_c, picture_c;
  std::function<void(LoopOptions&)> set = [](LoopOptions&) {};
};

const std::vector<Variant> kVariants = {
    {"wrap", 3, 3,
     [](LoopOptions& o) {
       o.tiles.wrap = {true, false};
     }},
    {"mirrored and turned forms", 3, 3, [](LoopOptions& o) { o.tiles.tta = 4; }},
    {"tiles of different sizes", 3, 3, [](LoopOptions& o) { o.tiles.blend = TileBlend::hard; }},
    {"cut to multiples of 8", 3, 3,
     [](LoopOptions& o) { o.rules.faithful = true, o.mode = StepMode::simple, o.scale = 1.9; }},
    {"normals", 3, 3, [](LoopOptions& o) { o.kind = Kind::normal; }},
    {"colours of the input", 3, 3, [](LoopOptions& o) { o.rules.colour_fix = ColourFix::mean; }},
    {"gray through RGB", 3, 1},
    {"gray and alpha through RGB", 3, 2},
    {"alpha resampled", 3, 4},
    {"alpha through the network", 3, 4, [](LoopOptions& o) { o.alpha_too = true; }},
    {"alpha dropped", 3, 4, [](LoopOptions& o) { o.drop_alpha = true; }},
    {"planes through gray", 1, 3},
    {"no alpha for a network with alpha", 4, 3},
    {"gray for a network with alpha", 4, 1},
    {"alpha for a network with alpha", 4, 4}};

}  // namespace

TEST_CASE("what the host does between passes is done, whatever stays on the device", "[simt][pass]") {
  UPS_RANDOM(random);
  for (const Variant& v : kVariants)
    for (int tile : {-1, 16}) {
      const Network net = one_conv(random, v.network_c, v.network_c, 2);
      const Pixels lr = random_pixels(random, {21, 26}, v.picture_c, Depth::f32);
      LoopOptions o;
      o.scale = 3, o.steps = 2, o.mode = StepMode::geometric;
      o.tiles.tile_px = tile, o.tiles.overlap_px = tile > 0 ? 4 : 0;
      v.set(o);
      Session device = device_session(net, Precision::fp32), host = host_session(net, Precision::fp32);
      const LoopResult a = run_the_loop(device, lr.image, Depth::f32, o),
                       b = run_the_loop(host, lr.image, Depth::f32, o);
      double worst = 0, largest = 1;
      REQUIRE(a.hr.samples() == b.hr.samples());
      REQUIRE(a.steps.size() == b.steps.size());
      for (size_t i = 0; i < a.hr.samples(); i++) {
        worst = std::max(worst, std::abs(double(a.hr.value(i)) - b.hr.value(i)));
        largest = std::max(largest, std::abs(double(b.hr.value(i))));
      }
      for (size_t i = 0; i < a.steps.size(); i++)
        worst = std::max(worst, std::abs(double(a.steps[i]) - b.steps[i]));
      INFO(v.name << ", tile " << tile);
      CHECK(worst <= 1e-5 * largest);  // rounding in float, a few passes of it
    }
}
