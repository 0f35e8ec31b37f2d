// Sizes as tables, and that the tool meets them.
#include "apps/size.h"

#include <cmath>

#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

TEST_CASE("sizes follow from what was asked", "[apps][size]") {
  struct Row {
    const char* what;
    SizeRequest ask;
    int in_w, in_h;  // the model would scale by 4
    int w, h, pic_w, pic_h, x, y;
  };
  auto ask = [](auto set) {
    SizeRequest r;
    set(r);
    return r;
  };
  auto box = [](int w, int h, Fit fit, double gx = 0.5, double gy = 0.5) {
    SizeRequest r;
    r.width = w, r.height = h, r.fit = fit, r.gravity_x = gx, r.gravity_y = gy;
    return r;
  };
  const std::vector<Row> table = {
      {"the model's own", {}, 100, 50, 400, 200, 400, 200, 0, 0},
      {"a factor", ask([](auto& r) { r.scale = 3.3; }), 21, 13, 69, 43, 69, 43, 0, 0},
      {"a width", ask([](auto& r) { r.width = 333; }), 100, 50, 333, 167, 333, 167, 0, 0},
      {"a height", ask([](auto& r) { r.height = 100; }), 300, 50, 600, 100, 600, 100, 0, 0},
      {"inside, wide", box(1920, 1080, Fit::inside), 100, 50, 1920, 960, 1920, 960, 0, 0},
      {"inside, tall", box(1920, 1080, Fit::inside), 50, 100, 540, 1080, 540, 1080, 0, 0},
      {"outside", box(1920, 1080, Fit::outside), 100, 50, 2160, 1080, 2160, 1080, 0, 0},
      {"fill", box(70, 900, Fit::fill), 100, 50, 70, 900, 70, 900, 0, 0},
      {"cover", box(1000, 1000, Fit::cover), 100, 50, 1000, 1000, 2000, 1000, -500, 0},
      {"cover west", box(1000, 1000, Fit::cover, 0), 100, 50, 1000, 1000, 2000, 1000, 0, 0},
      {"cover east", box(1000, 1000, Fit::cover, 1), 100, 50, 1000, 1000, 2000, 1000, -1000, 0},
      {"contain", box(1000, 1000, Fit::contain), 100, 50, 1000, 1000, 1000, 500, 0, 250},
      {"contain south", box(1000, 1000, Fit::contain, 0.5, 1), 100, 50, 1000, 1000, 1000, 500, 0, 500},
      {"cover, same aspect", box(200, 100, Fit::cover), 100, 50, 200, 100, 200, 100, 0, 0},
      {"long side, tall", ask([](auto& r) { r.long_side = 512; }), 50, 100, 256, 512, 256, 512, 0, 0},
      {"short side, tall", ask([](auto& r) { r.short_side = 512; }), 50, 100, 512, 1024, 512, 1024, 0, 0},
      {"megapixels", ask([](auto& r) { r.megapixels = 2; }), 200, 100, 2000, 1000, 2000, 1000, 0, 0},
      {"max side, reached", ask([](auto& r) { r.max_side = 300; }), 100, 50, 300, 150, 300, 150, 0, 0},
      {"max side, not reached", ask([](auto& r) { r.max_side = 500; }), 100, 50, 400, 200, 400, 200, 0, 0},
      {"max side limits a width", ask([](auto& r) { r.width = 900, r.max_side = 300; }), 50, 100, 150, 300,
       150, 300, 0, 0},
      {"multiple of 64", ask([](auto& r) { r.multiple_of = 64; }), 100, 50, 384, 192, 384, 192, 0, 0},
      {"multiple at least one", ask([](auto& r) { r.multiple_of = 64, r.scale = 1; }), 10, 100, 64, 128, 64,
       128, 0, 0},
      {"multiple within max side", ask([](auto& r) { r.multiple_of = 64, r.max_side = 380; }), 100, 100, 320,
       320, 320, 320, 0, 0},
      {"never below one pixel", ask([](auto& r) { r.width = 1; }), 1000, 3, 1, 1, 1, 1, 0, 0},
  };
  for (const Row& t : table) {
    SizePlan p = plan_size(t.ask, t.in_w, t.in_h, 4);
    INFO(t.what);
    CHECK(p.width == t.w);
    CHECK(p.height == t.h);
    CHECK(p.picture_width == t.pic_w);
    CHECK(p.picture_height == t.pic_h);
    CHECK(p.x == t.x);
    CHECK(p.y == t.y);
  }
}

TEST_CASE("cover leaves no gap and contain sticks out nowhere, for any size", "[apps][size]") {
  UPS_RANDOM(r);
  for (int k = 0; k < 3000; k++) {
    SizeRequest ask;
    ask.width = r.integer(1, 500), ask.height = r.integer(1, 500),
    ask.fit = k % 2 ? Fit::cover : Fit::contain;
    ask.gravity_x = r.integer(0, 2) / 2.0, ask.gravity_y = r.integer(0, 2) / 2.0;
    int w = r.integer(1, 300), h = r.integer(1, 300);
    SizePlan p = plan_size(ask, w, h, 4);
    INFO(w << "x" << h << " to " << ask.width << "x" << ask.height);
    REQUIRE(p.width == ask.width);
    REQUIRE(p.height == ask.height);
    bool covers =
        p.x <= 0 && p.y <= 0 && p.x + p.picture_width >= p.width && p.y + p.picture_height >= p.height;
    bool contained =
        p.x >= 0 && p.y >= 0 && p.x + p.picture_width <= p.width && p.y + p.picture_height <= p.height;
    REQUIRE((ask.fit == Fit::cover ? covers : contained));
    REQUIRE((p.picture_width == p.width || p.picture_height == p.height));
  }
}

TEST_CASE("a factor for both sides is found exactly when there is one", "[apps][size]") {
  UPS_RANDOM(r);
  for (int k = 0; k < 3000; k++) {
    int w = r.integer(1, 400), h = r.integer(1, 400);
    double f = r.uniform(0.3f, 9);
    int ow = int(std::lround(w * f)), oh = int(std::lround(h * f));
    if (ow < 1 || oh < 1) continue;
    auto found = single_factor(w, h, ow, oh);
    REQUIRE(found);
    CHECK(std::lround(w * *found) == ow);
    CHECK(std::lround(h * *found) == oh);
  }
  CHECK_FALSE(single_factor(100, 100, 200, 210));
}

TEST_CASE("the tool meets every size exactly", "[apps][size]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 30, 20));
  struct Case {
    std::vector<std::string> ask;
    int w, h;
  };
  for (Case c : {Case{{"--width", "77"}, 77, 51},
                 {{"--height", "50"}, 75, 50},
                 {{"--width", "77", "--height", "99"}, 77, 99},
                 {{"--size", "64x64"}, 64, 43},
                 {{"--size", "64x64", "--fit", "fill"}, 64, 64},
                 {{"--size", "64x64", "--fit", "cover", "--gravity", "northwest"}, 64, 64},
                 {{"--size", "64x64", "--fit", "contain", "--background", "#ff0000"}, 64, 64},
                 {{"--size", "64x64", "--fit", "outside"}, 96, 64},
                 {{"--long-side", "17"}, 17, 11},
                 {{"--short-side", "33"}, 50, 33},
                 {{"--max-side", "45"}, 45, 30},
                 {{"--megapixels", "0.0024"}, 60, 40},
                 {{"--multiple-of", "16"}, 64, 48},
                 {{"-s", "1.5", "--multiple-of", "8"}, 48, 32},
                 {{"-s", "0.5"}, 15, 10}}) {
    std::vector<std::string> arguments = {folder / "in.png", folder / "out.png", "-m", tiny_model()};
    arguments.insert(arguments.end(), c.ask.begin(), c.ask.end());
    Finished f = run(arguments);
    INFO(c.ask[0] << " " << c.ask[1] << ": " << f.err);
    REQUIRE(f.code == 0);
    Image out = read_image(folder / "out.png");
    CHECK(out.width == c.w);
    CHECK(out.height == c.h);
    CHECK(f.out.find(std::to_string(c.w) + "x" + std::to_string(c.h)) != std::string::npos);
    if (c.ask.back() == "#ff0000") {  // 64x43 in the middle of red
      CHECK(int(out.row(0)[0]) == 255);
      CHECK(int(out.row(9)[3 * 63 + 1]) == 0);
      CHECK(int(out.row(63)[0]) == 255);
      bool red = true;
      for (int x = 0; x < 64; x++) red &= out.row(30)[3 * x] == 255 && out.row(30)[3 * x + 1] == 0;
      CHECK_FALSE(red);
    }
    arguments.push_back("--dry-run");
    CHECK(run(arguments).out.find("-> " + (folder / "out.png") + " " + std::to_string(c.w) + "x" +
                                  std::to_string(c.h)) != std::string::npos);
  }
  const Finished f = run(
      {folder / "in.png", folder / "out.png", "-m", tiny_model(), "--max-side", "30", "--multiple-of", "64"});
  CHECK(f.code == 1);
  CHECK(f.err.find("--multiple-of 64 contradicts --max-side 30") != std::string::npos);
}
