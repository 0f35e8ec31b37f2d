// What a recipe and the command line say together.
#include "apps/options.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::Fit;
using ups::apps::Options;
using ups::apps::parse_options;

namespace {

struct Recipe {
  TemporaryFolder folder;
  std::string file = folder / "r.json";
  Options with(const std::string& json, std::vector<std::string> more = {}) {
    spill(file, json);
    more.insert(more.end(), {"a.png", "b.png", "--recipe", file});
    return *parse_options(more);
  }
};

}  // namespace

TEST_CASE("true is an option that stands alone", "[apps][recipes]") {
  Recipe r;
  const Options o = r.with(R"({"tta": true, "dither": true, "lossless": true})");
  CHECK(o.tta == 8);
  CHECK(o.finish.values.dither == UPS_DITHER_FLOYD_STEINBERG);
  CHECK(o.encode.lossless);
  CHECK(r.with(R"({"tta": false, "dither": false})").tta == 1);
  CHECK(r.with(R"({"tta": 2, "dither": "ordered"})").finish.values.dither == UPS_DITHER_ORDERED);
  CHECK_THROWS_WITH(r.with(R"({"scale": true})"), Catch::Contains("expected a text or a number"));
}

TEST_CASE("the command line decides the size alone if it says one", "[apps][recipes]") {
  Recipe r;
  const std::string box = R"({"size": "1920x1080", "fit": "cover", "gravity": "north"})";
  CHECK(r.with(box).size.width == 1920);
  Options o = r.with(box, {"-s", "2"});
  CHECK(o.scale == 2);
  CHECK(o.size.width == 0);
  for (std::vector<std::string> more :
       {std::vector<std::string>{"--width", "500"}, {"-w", "500"}, {"-w500"}, {"--width=500"}}) {
    o = r.with(box, more);
    CHECK(o.size.width == 500);
    CHECK(o.size.height == 0);
  }
  CHECK(r.with(box, {"--megapixels", "2"}).size.width == 0);
  CHECK(r.with(box, {"--long-side", "9"}).size.long_side == 9);
  o = r.with(box, {"--size", "30x20"});  // --fit is about this size as well
  CHECK(o.size.width == 30);
  CHECK(o.size.fit == Fit::cover);
  CHECK(r.with(box, {"--fit", "fill"}).size.fit == Fit::fill);
  o = r.with(R"({"scale": 4, "max_side": 100, "multiple_of": 8})", {"--size", "30x20"});
  CHECK(o.scale == 0);
  CHECK(o.size.max_side == 100);  // limits stay
  CHECK_THROWS_WITH(r.with(R"({"scale": 4, "width": 100})"), Catch::Contains("contradict"));
}

TEST_CASE("other options of the command line replace what contradicts them, too", "[apps][recipes]") {
  Recipe r;
  CHECK(r.with(R"({"unsharp": 2})", {"--sharpen", "0.5"}).finish.values.sharpen == UPS_SHARPEN_LAB);
  CHECK(r.with(R"({"quality": 50})", {"-c", "20"}).encode.quality == 80);
  CHECK(r.with(R"({"denoise": 0.5, "denoise-change": 0.9})", {"--mix", "m.pth:0.5"}).denoise == std::nullopt);
  CHECK(r.with(R"({"step-mode": "native"})", {"--steps", "3"}).step_mode == UPS_STEPS_GEOMETRIC);
  CHECK(r.with(R"({"steps": 3})", {"--step-mode", "native"}).steps == 1);
  CHECK(r.with(R"({"steps": 3})", {"--step-mode=simple"}).steps == 3);
  CHECK(r.with(R"({"step-mode": "simple", "steps": 3})", {"--steps", "5"}).step_mode == UPS_STEPS_SIMPLE);
  CHECK(r.with(R"({"step-mode": "loopback", "ease": "in-sine"})", {"--step-mode", "simple"}).step_mode ==
        UPS_STEPS_SIMPLE);
}
