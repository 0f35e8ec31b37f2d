// The stations between network and file, and recipes.
#include <cmath>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"
#include "apps/options.h"
#include "apps/recipe.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::Image;
using ups::apps::read_image;
using ups::apps::with_recipe;

namespace {

Image result(const TemporaryFolder& folder, std::vector<std::string> ask, const char* name = "out.png") {
  std::vector<std::string> all = {folder / "in.png", folder / name, "-m", tiny_model()};
  all.insert(all.end(), ask.begin(), ask.end());
  const Finished f = run(all);
  INFO(f.err);
  REQUIRE(f.code == 0);
  return read_image(folder / name);
}

std::string sentence(const std::vector<std::string>& arguments) {
  try {
    with_recipe(arguments);
  } catch (const ups::apps::Failure& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("crop cuts out what the whole result has there, in every format", "[apps][pipeline]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 30, 20));
  const Image whole = result(folder, {});
  for (const char* name : {"cut.png", "cut.bmp"}) {
    const Image cut = result(folder, {"--crop", "25x11+7+5"}, name);
    REQUIRE(cut.width == 25);
    REQUIRE(cut.height == 11);
    bool same = true;
    for (int y = 0; y < 11; y++) same &= memcmp(cut.row(y), whole.row(y + 5) + 7 * 3, 25 * 3) == 0;
    CHECK(same);
  }
}

TEST_CASE("pictures are cropped, then adjusted, then padded", "[apps][pipeline]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 30, 20));
  const Image plain =
      result(folder, {"--size", "60x60", "--fit", "contain", "--background", "#804020", "--depth", "16"});
  const Image dark = result(folder, {"--size", "60x60", "--fit", "contain", "--background", "#804020",
                                     "--brightness", "0.5", "--depth", "16"});
  auto at = [](const Image& i, int y, int x, int k) {
    return int(reinterpret_cast<const uint16_t*>(i.row(y))[3 * x + k]);
  };
  int worst = 0;
  for (int y = 0; y < 60; y++)
    for (int x = 0; x < 60; x++)
      for (int k = 0; k < 3; k++) {
        if (y < 10 || y >= 50)
          REQUIRE(at(dark, y, x, k) == at(plain, y, x, k));
        else if (at(plain, y, x, k) < 65535)  // clipped before, not clipped after
          worst = std::max(worst, std::abs(2 * at(dark, y, x, k) - at(plain, y, x, k)));
      }
  CHECK(worst <= 2);
}

TEST_CASE("every station changes the picture, and dithering stays within a level", "[apps][pipeline]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 24, 18));
  const Image plain = result(folder, {});
  for (const std::vector<std::string>& ask :
       std::vector<std::vector<std::string>>{{"--sharpen", "1.2"},
                                             {"--unsharp", "2,amount=0.5"},
                                             {"--contrast", "0.7"},
                                             {"--saturation", "0"},
                                             {"--dither"},
                                             {"--dither", "ordered"}}) {
    const Image changed = result(folder, ask);
    INFO(ask[0]);
    CHECK(memcmp(plain.pixels.get(), changed.pixels.get(), plain.bytes()) != 0);
    int worst = 0;
    for (size_t i = 0; i < plain.bytes(); i++)
      worst = std::max(worst, std::abs(int(plain.pixels[i]) - int(changed.pixels[i])));
    if (ask[0] == "--dither") CHECK(worst == 1);
    for (size_t i = 0; ask[0] == "--saturation" && i < changed.bytes(); i += 3)
      REQUIRE(changed.pixels[i] == changed.pixels[i + 2]);
  }
}

TEST_CASE("a recipe is applied to a batch, and the command line wins", "[apps][pipeline]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "a.png", random_rgb_png(r, 20, 10));
  spill(folder / "b.png", random_rgb_png(r, 10, 20));
  spill(folder / "r.json",
        R"({"size": "30x30", "fit": "cover", "sharpen": {"sigma": 1, "m2": 2}, "format": "bmp",
                              "brightness": 1.1, "lossless": false})");
  Finished f = run({folder / "a.png", folder / "b.png", folder / "out", "-m", tiny_model(), "--recipe",
                    folder / "r.json"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  for (const char* name : {"out/a.bmp", "out/b.bmp"}) {
    CHECK(read_image(folder / name).width == 30);
    CHECK(read_image(folder / name).height == 30);
  }
  f = run({folder / "a.png", folder / "c.png", "-m", tiny_model(), "--recipe=" + (folder / "r.json"), "-f",
           "png", "--fit", "fill"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(slurp(folder / "c.png").substr(1, 3) == "PNG");
}

TEST_CASE("recipes become options", "[apps][pipeline]") {
  TemporaryFolder folder;
  spill(folder / "r.json", R"({"scale": 2.5, "long_side": 9, "filter": ["box", "lanczos3"], "faithful": true,
                              "lossless": false, "post": {"sharpness": 1.2, "contour": true, "blur": 2}})");
  const std::vector<std::string> got = with_recipe({"a", "--recipe", folder / "r.json", "b", "-s", "3"});
  CHECK(got == std::vector<std::string>{"--filter=box,lanczos3", "--faithful",
                                        "--post=sharpness=1.2,contour,blur=2", "a", "b", "-s", "3"});
  CHECK(with_recipe({"a", "b"}) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("recipes that say nothing sensible are refused with a sentence", "[apps][pipeline]") {
  TemporaryFolder folder;
  const std::string file = folder / "r.json";
  auto said = [&](const std::string& json) {
    spill(file, json);
    return sentence({"--recipe", file});
  };
  CHECK(said(R"({"scal": 2})").find("'scal' is not an option of a picture, expected adaptive, ") !=
        std::string::npos);
  for (const char* key : {"input", "output", "recipe", "save-steps", "progress", "threads", "verbose", ""})
    CHECK(said("{\"" + std::string(key) + "\": 1}").find("is not an option") != std::string::npos);
  CHECK(said("[1]").find("no object") != std::string::npos);
  CHECK(said("{").find("not JSON") != std::string::npos);
  CHECK(said("").find("not JSON") != std::string::npos);
  CHECK(said(std::string(100000, '[')).find("nested") != std::string::npos);
  CHECK(said(R"({"lossless": 1})").find("true or false") != std::string::npos);
  CHECK(said(R"({"scale": null})").find("a text or a number") != std::string::npos);
  CHECK(said(R"({"sharpen": {}})").find("is empty") != std::string::npos);
  CHECK(said("\"" + std::string(2 << 20, 'x') + "\"").find("at most 1048576") != std::string::npos);
  CHECK(sentence({"--recipe", folder / "none.json"}).find("cannot be opened") != std::string::npos);
  CHECK(sentence({"--recipe"}).find("expected a file") != std::string::npos);
}
