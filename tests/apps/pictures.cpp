// Kinds of pictures, chains and mixes on the command line, with tiny networks.
#include "apps/chain.h"
#include "apps/codecs/image_io.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::Image;
using ups::apps::read_image;

namespace {

std::string net(const std::string& name) { return UPS_GOLDEN "/nets/" + name; }

std::string png(Random& r, int w, int h, int type, int channels) {
  return libpng_bytes({w, h, 8, type, random_bytes(r, size_t(w) * h * channels)});
}

bool same_pixels(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && a.channels == b.channels && a.depth == b.depth &&
         std::equal(a.pixels.get(), a.pixels.get() + a.bytes(), b.pixels.get());
}

void done(const std::vector<std::string>& arguments) {
  const Finished f = run(arguments);
  INFO(f.err);
  REQUIRE(f.code == 0);
}

}  // namespace

TEST_CASE("a chain is its networks one after the other", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png", x1 = net("srvgg_x1.safetensors"), x2 = net("srvgg_x2.pth");
  spill(in, png(r, 15, 11, PNG_COLOR_TYPE_RGB, 3));
  done({in, folder / "mid.tif", "-m", x1, "--depth", "32f"});
  done({folder / "mid.tif", folder / "two.png", "-m", x2, "--depth", "8"});
  done({in, folder / "chain.png", "-m", x1 + "," + x2});
  CHECK(same_pixels(read_image(folder / "two.png"), read_image(folder / "chain.png")));
  // The scale is the product, unless it is stated.
  done({in, folder / "four.png", "-m", x2 + "," + x2});
  CHECK(read_image(folder / "four.png").width == 60);
  done({in, folder / "three.png", "-m", x2 + "," + x2, "-s", "3"});
  CHECK(read_image(folder / "three.png").height == 33);
  const Finished plan = run({in, folder / "four.png", "-m", x1 + "," + x2, "--dry-run"});
  CHECK(plan.out.find("  first ") != std::string::npos);
  CHECK(plan.out.find("  then ") != std::string::npos);
  CHECK(run({in, folder / "o.png", "-m", x1 + ",,"}).code == 1);
  CHECK(run({in, folder / "o.png", "-m", x1 + ",none.pth"}).code == 3);
  CHECK(ups::apps::chain_name("a/dejpeg.pth,x4") == "dejpeg+x4");
}

TEST_CASE("mixing a network with itself changes nothing, with another shape is refused", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png";
  spill(in, png(r, 9, 8, PNG_COLOR_TYPE_RGB, 3));
  done({in, folder / "a.png", "-m", tiny_model()});
  done({in, folder / "b.png", "-m", tiny_model(), "--mix", tiny_model() + ":0.3"});
  CHECK(same_pixels(read_image(folder / "a.png"), read_image(folder / "b.png")));
  Finished f = run({in, folder / "c.png", "-m", tiny_model(), "--mix", "nobody:0.5"});
  CHECK(f.code == 3);
  CHECK(f.err.find("--mix: nobody is neither a file nor a known alias") != std::string::npos);
  f = run({in, folder / "c.png", "-m", tiny_model(), "--mix", net("srvgg_x4.safetensors") + ":0.5"});
  CHECK(f.code == 3);
  CHECK(f.err.find("same shape") != std::string::npos);
  CHECK(f.one_line_error());
  for (const char* wrong : {"x", ":0.5", "a:2", "a:"})
    CHECK(run({in, folder / "c.png", "-m", tiny_model(), "--mix", wrong}).code == 1);
}

TEST_CASE("denoise strength mixes with the twin beside the network", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png";
  spill(in, png(r, 9, 8, PNG_COLOR_TYPE_RGB, 3));
  const std::string general = folder / "realesr-general-x4v3.pth";
  std::filesystem::copy_file(tiny_model(), general);
  Finished f = run({in, folder / "o.png", "-m", general, "--denoise", "0.5"});
  CHECK(f.code == 3);
  CHECK(f.err.find("realesr-general-wdn-x4v3 is not beside") != std::string::npos);
  std::filesystem::copy_file(tiny_model(), folder / "realesr-general-wdn-x4v3.pth");
  done({in, folder / "half.png", "-m", general, "--denoise", "0.5"});
  done({in, folder / "one.png", "-m", general, "--denoise", "1"});
  CHECK(same_pixels(read_image(folder / "half.png"), read_image(folder / "one.png")));
  f = run({in, folder / "o.png", "-m", tiny_model(), "--denoise", "0.5"});
  CHECK(f.code == 3);
  CHECK(f.err.find("has no denoise strength") != std::string::npos);
  CHECK(f.one_line_error());
  CHECK(run({in, folder / "o.png", "--denoise", "0.5", "--mix", "x4:0.5"}).code == 1);
  f = run({in, folder / "o.png", "-m", "general", "--denoise", "0.5"});
  CHECK(f.err.find("upscale fetch general-wdn") != std::string::npos);
}

TEST_CASE("alpha modes on the command line", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png";
  spill(in, png(r, 12, 10, PNG_COLOR_TYPE_RGBA, 4));
  std::vector<Image> results;
  for (const char* mode : {"auto", "model", "lanczos"}) {
    done({in, folder / "o.png", "-m", tiny_model(), "--alpha", mode});
    results.push_back(read_image(folder / "o.png"));
    CHECK(results.back().channels == 4);
  }
  CHECK(same_pixels(results[0], results[1]));
  CHECK_FALSE(same_pixels(results[0], results[2]));
  done({in, folder / "rgb.png", "-m", tiny_model(), "--alpha", "drop"});
  CHECK(read_image(folder / "rgb.png").channels == 3);
  done({in, folder / "white.png", "-m", tiny_model(), "--alpha", "drop", "--background", "white"});
  CHECK(read_image(folder / "white.png").channels == 3);
  CHECK_FALSE(same_pixels(read_image(folder / "rgb.png"), read_image(folder / "white.png")));
  done({in, folder / "o.jpg", "-m", tiny_model(), "--background", "#ff0000"});
  CHECK(read_image(folder / "o.jpg").channels == 3);
}

TEST_CASE("data loses its colour profile, and is not laid over a background", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Image image = ups::apps::allocate_image(8, 6, 4, UPS_U8);
  const std::vector<uint8_t> bytes = random_bytes(r, image.bytes());
  std::copy(bytes.begin(), bytes.end(), image.pixels.get());
  image.meta.chunks = {{"gAMA", std::string("\0\0\xb1\x8f", 4)}, {"tEXt", std::string("Title\0a map", 11)}};
  ups::apps::OutputFile file(folder / "in.png");
  write_image(file, ups::apps::Format::png, std::move(image), {});
  for (const char* kind : {"color", "data"}) {
    done({folder / "in.png", folder / "o.png", "-m", tiny_model(), "--kind", kind});
    const std::string out = slurp(folder / "o.png");
    CHECK((out.find("gAMA") != out.npos) == (kind == std::string("color")));
    CHECK(out.find("a map") != out.npos);
    CHECK(read_image(folder / "o.png").channels == 4);
  }
  const Finished f = run({folder / "in.png", folder / "o.jpg", "-m", tiny_model(), "--kind", "data"});
  CHECK(f.code == 1);
  CHECK(f.err.find("has no room for the last of 4 channels") != f.err.npos);
  CHECK(run({folder / "in.png", folder / "o.png", "--kind", "data", "--alpha", "drop"}).code == 1);
}

TEST_CASE("normal maps, masks, wrapping, augmentation, blending and tile blends run", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png", gray = folder / "gray.png";
  spill(in, png(r, 70, 50, PNG_COLOR_TYPE_RGB, 3));
  spill(gray, png(r, 9, 8, PNG_COLOR_TYPE_GRAY, 1));
  done({in, folder / "plain.png", "-m", tiny_model()});
  const Image plain = read_image(folder / "plain.png");
  const std::vector<std::vector<std::string>> changes = {
      {"--kind", "normal"},
      {"--kind", "mask"},
      {"--wrap", "xy"},
      {"--tta", "2"},
      {"-x"},
      {"--blend", "0.5"},
      {"-t", "32", "--tile-blend", "hard", "--overlap", "0"},
      {"-t", "32", "--tile-blend", "linear", "--overlap", "4"}};
  for (std::vector<std::string> arguments : changes) {
    INFO(arguments[0] << " " << arguments.back());
    arguments.insert(arguments.begin(), {in, folder / "o.png", "-m", tiny_model()});
    done(arguments);
    const Image image = read_image(folder / "o.png");
    CHECK(image.width == 140);
    CHECK_FALSE(same_pixels(image, plain));
  }
  done({in, folder / "o.png", "-m", tiny_model(), "--max-vram", "100M"});  // no meaning on the CPU
  CHECK(same_pixels(read_image(folder / "o.png"), plain));
  CHECK(run({gray, folder / "o.png", "-m", tiny_model(), "--kind", "normal"}).code == 1);
  for (std::vector<std::string> wrong : {std::vector<std::string>{"--tta=3"},
                                         {"--wrap", "z"},
                                         {"--blend", "2"},
                                         {"--max-vram", "x"},
                                         {"--tile-blend", "soft"},
                                         {"--alpha", "diff"},
                                         {"--kind", "photo"},
                                         {"--denoise", "-1"}}) {
    wrong.insert(wrong.begin(), {in, folder / "o.png", "-m", tiny_model()});
    const Finished f = run(wrong);
    INFO(f.err);
    CHECK(f.code == 1);
    CHECK(f.one_line_error());
  }
}

TEST_CASE("sizes that no one factor meets are met by the network's last resampling", "[apps][pictures]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png";
  spill(in, png(r, 20, 20, PNG_COLOR_TYPE_RGBA, 4));
  done({in, folder / "o.png", "-m", tiny_model(), "--size", "37x22", "--fit", "fill"});
  CHECK(read_image(folder / "o.png").width == 37);
  CHECK(read_image(folder / "o.png").height == 22);
  done({in, folder / "c.png", "-m", tiny_model(), "--size", "37x22", "--fit", "cover"});
  CHECK(read_image(folder / "c.png").height == 22);
}
