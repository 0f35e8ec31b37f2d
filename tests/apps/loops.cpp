// Loops through the tool: sizes in the plan, files of steps, refusals.
#include "apps/codecs/image_io.h"
#include "apps/failure.h"
#include "apps/options.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::Image;
using ups::apps::parse_options;
using ups::apps::read_image;

TEST_CASE("loopback runs four steps along its curve and keeps them", "[apps][loops]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 40, 30));
  const std::vector<std::string> ask = {folder / "in.png",
                                        folder / "out.png",
                                        "-m",
                                        tiny_model(),
                                        "-s",
                                        "2",
                                        "--step-mode",
                                        "loopback",
                                        "--ease",
                                        "in-quint",
                                        "--save-steps",
                                        folder / "step",
                                        "--color-fix",
                                        "lowfreq",
                                        "--post",
                                        "sharpness=1.3,blur=1"};
  Finished f = run(ask);
  INFO(f.err);
  REQUIRE(f.code == 0);
  // int(30 + 30 p^4) at p = 0, 1/4, 1/2.
  const int heights[3] = {30, 30, 31}, widths[3] = {40, 40, 41};
  for (int k = 0; k < 3; k++) {
    const Image step = read_image(folder / ("step" + std::to_string(k + 1) + ".png"));
    CHECK(step.width == widths[k]);
    CHECK(step.height == heights[k]);
  }
  CHECK(read_image(folder / "out.png").width == 80);
}

TEST_CASE("faithful runs deliver the sizes of their systems", "[apps][loops]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 43, 35));
  struct Case {
    std::vector<std::string> ask;
    int w, h;
  };
  for (const Case& c : {Case{{"-s", "1.7", "--steps", "2", "--step-mode", "simple"}, 64, 48},
                        {{"-s", "2", "--step-mode", "native"}, 80, 64},
                        {{"-s", "2", "--step-mode", "loopback", "--steps", "2"}, 88, 72}}) {
    std::vector<std::string> ask = {folder / "in.png", folder / "out.png", "-m", tiny_model(), "--faithful"};
    ask.insert(ask.end(), c.ask.begin(), c.ask.end());
    const Finished f = run(ask);
    INFO(c.ask[3] << f.err);
    REQUIRE(f.code == 0);
    CHECK(read_image(folder / "out.png").width == c.w);
    CHECK(read_image(folder / "out.png").height == c.h);
    ask.push_back("--dry-run");
    CHECK(run(ask).out.find(std::to_string(c.w) + "x" + std::to_string(c.h)) != std::string::npos);
  }
}

TEST_CASE("denoise strength changes from step to step where the network has one", "[apps][loops]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 16, 12));
  // A network and its twin, told apart by their names.
  spill(folder / "my-general-x4v3.pth", slurp(tiny_model()));
  spill(folder / "my-general-wdn-x4v3.pth", slurp(tiny_model()));
  const std::vector<std::string> ask = {folder / "in.png",
                                        folder / "out.png",
                                        "-m",
                                        folder / "my-general-x4v3.pth",
                                        "--steps",
                                        "3",
                                        "--denoise",
                                        "0.5",
                                        "--denoise-change",
                                        "0.9"};
  Finished f = run(ask);
  INFO(f.err);
  REQUIRE(f.code == 0);
  // Twins of the same weights: the strength makes no difference.
  const std::string changed = slurp(folder / "out.png");
  REQUIRE(run({folder / "in.png", folder / "out.png", "-m", folder / "my-general-x4v3.pth", "--steps", "3",
               "--denoise", "0.5"})
              .code == 0);
  CHECK(slurp(folder / "out.png") == changed);
  f = run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "--denoise-change", "0.9"});
  CHECK(f.code == 1);
  CHECK(f.err.find("give --denoise") != std::string::npos);
  f = run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "--denoise", "0.5", "--denoise-change",
           "0.9"});
  CHECK(f.code == 3);
  CHECK(f.err.find("no denoise strength") != std::string::npos);
}

TEST_CASE("options of loops are read, and refused where they mean nothing", "[apps][loops]") {
  auto o =
      parse_options({"a", "b", "--step-mode", "loopback", "--adaptive", "1.5", "--filter", "box,lanczos3"});
  CHECK(o->steps == 4);
  CHECK(o->loop.values.adaptive == 1.5);
  CHECK(o->loop.library().filter_count == 2);
  CHECK(o->filter == UPS_FILTER_LANCZOS3);
  CHECK(parse_options({"a", "b", "--step-mode", "simple"})->steps == 3);
  CHECK(parse_options({"a", "b", "--step-mode", "geometric", "--steps", "1"})->steps == 1);
  o = parse_options({"a", "b", "--post", "color=0,detail,contour", "--color-fix", "histogram"});
  CHECK(o->loop.values.color < 0);
  CHECK(o->loop.values.detail == 1);
  CHECK(o->loop.values.contour == 1);
  CHECK(o->loop.values.colour_fix == UPS_COLOUR_FIX_HISTOGRAM);
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"--ease", "linear"},
           {"--adaptive", "1"},
           {"--step-mode", "loopback", "--ease", "linear", "--adaptive", "1"},
           {"--step-mode", "loopback", "--ease", "in-bounce"},
           {"--faithful", "--width", "100"},
           {"--post", "hue=1"},
           {"--post", "contour=1"},
           {"--post", "detail=101"},
           {"--color-fix", "lab"},
           {"--filter", "box,"}}) {
    std::vector<std::string> all = {"a.png", "b.png"};
    all.insert(all.end(), bad.begin(), bad.end());
    INFO(bad[0] << " " << bad.back());
    CHECK_THROWS_AS(parse_options(all), ups::apps::Failure);
  }
}
