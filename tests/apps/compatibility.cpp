// The letters of realesrgan-ncnn-vulkan and upscayl mean what their users expect.
#include "apps/options.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::parse_options;
using ups::apps::read_image;
namespace fs = std::filesystem;

namespace {

// A picture, and a folder of models as those tools have it.
struct Setting {
  TemporaryFolder folder;
  std::string in, out, models;
  explicit Setting(Random& r) {
    in = folder / "in.png", out = folder / "out.png", models = folder / "models";
    spill(in, random_rgb_png(r, 12, 9));
    fs::create_directory(models);
    fs::copy_file(tiny_model(), models + "/tiny.pth");
    fs::copy_file(tiny_model(), models + "/scaled-x3.pth");
  }
  Finished go(std::vector<std::string> arguments) { return run(std::move(arguments)); }
};

}  // namespace

TEST_CASE("a call as realesrgan-ncnn-vulkan is called", "[apps][compatibility]") {
  UPS_RANDOM(r);
  Setting s(r);
  Finished f = s.go({"-i", s.in, "-o", s.out, "-s", "2", "-t", "0", "-m", s.models, "-n", "tiny", "-g", "-1",
                     "-j", "1:2:2", "-f", "png", "-v"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(read_image(s.out).width == 24);
  CHECK(f.err.find("model tiny") != std::string::npos);  // -v

  fs::create_directory(s.folder / "in");
  fs::create_directory(s.folder / "results");
  fs::copy_file(s.in, s.folder / "in/a.png");
  f = s.go({"-i", s.folder / "in", "-o", s.folder / "results", "-n", "tiny", "-m", s.models, "-t", "64,64",
            "-j", "1:2,2:2", "-f", "jpg"});
  INFO(f.err);
  CHECK(f.code == 0);
  CHECK(fs::exists(s.folder / "results/a.jpg"));
}

TEST_CASE("-s is the factor of the result, whatever the network's", "[apps][compatibility]") {
  UPS_RANDOM(r);
  Setting s(r);
  for (int scale : {2, 3, 4}) {
    REQUIRE(s.go({"-i", s.in, "-o", s.out, "-m", s.models, "-n", "tiny", "-s", std::to_string(scale)}).code ==
            0);
    CHECK(read_image(s.out).width == 12 * scale);
  }
  CHECK(s.go({"-i", s.in, "-o", s.out, "-m", s.models, "-n", "scaled", "-s", "3"}).code == 0);
  CHECK(s.go({"-i", s.in, "-o", s.out, "-m", s.models, "-n", "scaled"}).code == 3);  // there is no -x4
}

TEST_CASE("-n names a model in the folder -m or a released one", "[apps][compatibility]") {
  UPS_RANDOM(r);
  Setting s(r);
  CHECK(parse_options({"a", "b", "-n", "realesrgan-x4plus"})->model == "x4");
  CHECK(parse_options({"a", "b", "-n", "RealESRGAN_x4plus_anime_6B"})->model == "anime");
  CHECK(parse_options({"a", "b", "-n", "realesrgan-x4plus-anime"})->model == "anime");
  CHECK(parse_options({"a", "b", "-n", "realesr-animevideov3"})->model == "video");
  CHECK(parse_options({"a", "b", "-n", "realesr-animevideov3", "-s", "2"})->model == "video-x2");
  CHECK(parse_options({"a", "b", "-n", "realesr-animevideov3-x3"})->model == "video-x3");
  CHECK(parse_options({"a", "b", "--model_name", "realesr-general-x4v3"})->model == "general");
  CHECK(parse_options({"a", "b", "-m", "RealESRGAN_x2plus"})->model == "x2");
  CHECK(parse_options({"a", "b", "-m", s.models, "-n", "tiny"})->model == s.models + "/tiny.pth");

  // A pasted call names the folder that those tools come with; it need not be here.
  CHECK(parse_options({"-i", "a", "-o", "b", "-m", "models", "-n", "realesrgan-x4plus"})->model == "x4");
  CHECK(run({s.in, s.out, "-m", "modells", "-n", "realesrgan-x4plus"}).code == 3);

  Finished f = s.go({s.in, s.out, "-m", s.models, "-n", "nobody"});
  CHECK(f.code == 3);
  CHECK(f.err.find("it has scaled-x3, tiny") != std::string::npos);
  f = s.go({s.in, s.out, "-n", "2"});  // waifu2x's noise level
  CHECK(f.code == 1);
  CHECK(f.err.find("noise") != std::string::npos);
  f = s.go({s.in, s.out, "-m", s.models});
  CHECK(f.code == 1);
  CHECK(f.err.find("-n") != std::string::npos);
}

TEST_CASE("upscayl's letters for sizes and quality", "[apps][compatibility]") {
  UPS_RANDOM(r);
  Setting s(r);
  const std::vector<std::string> base = {"-i", s.in, "-o", s.out, "-m", s.models, "-n", "tiny"};
  auto go = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return run(more);
  };
  REQUIRE(go({"-w", "30"}).code == 0);
  CHECK(read_image(s.out).width == 30);
  REQUIRE(go({"-r", "20x40:catmullrom"}).code == 0);
  CHECK(read_image(s.out).width == 20);
  CHECK(read_image(s.out).height == 40);
  CHECK(go({"-r", "20x40:cubicbspline"}).code == 1);  // not offered, so not another one instead
  CHECK(go({"-r", "20x40", "-w", "3"}).code == 1);
  CHECK(parse_options({"a", "b", "-c", "30"})->encode.quality == 70);
  CHECK(parse_options({"a", "b", "-c", "100"})->encode.quality == 1);
  CHECK(go({"-c", "101"}).code == 1);
  CHECK(go({"-c", "5", "-q", "5"}).code == 1);
  Finished f = go({"-z", "4"});
  CHECK(f.code == 0);
  CHECK(f.err.find("own factor is 2") != std::string::npos);
  CHECK(go({"-z", "2"}).err.empty());
}

TEST_CASE("letters of inference_realesrgan.py", "[apps][compatibility]") {
  auto o = parse_options({"-i", "a", "-o", "b", "-n", "RealESRGAN_x4plus", "-s", "3.5", "-t", "400", "--fp32",
                          "-g", "0", "--outscale", "2.5"});
  CHECK(o->scale == 2.5);  // the last counts
  CHECK(o->tile_px == 400);
  CHECK(o->precision == UPS_PRECISION_FP32);
  CHECK(o->device == "0");
  Finished f = run({"a", "b", "--face_enhance"});
  CHECK(f.code == 1);
  CHECK(f.err.find("face restoration is not offered") != std::string::npos);
}
