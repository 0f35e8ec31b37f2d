// AVIF and JPEG XL: what comes back of pixels and metadata. Compiled whatever the build holds.
#include <cmath>
#include <cstring>

#include "apps/codecs/exif.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

Image noise(Random& r, int w, int h, int c, ups_depth depth) {
  Image image = allocate_image(w, h, c, depth);
  if (depth == UPS_F32) {
    float* p = reinterpret_cast<float*>(image.pixels.get());
    for (size_t i = 0; i < image.bytes() / 4; i++) p[i] = r.uniform(0, 1);
  } else {
    for (size_t i = 0; i < image.bytes(); i++) image.pixels[i] = uint8_t(r.engine());
  }
  return image;
}

Image smooth(int w, int h, int c) {
  Image image = allocate_image(w, h, c, UPS_U8);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      for (int k = 0; k < c; k++)
        image.row(y)[x * c + k] = uint8_t(128 + 100 * std::sin(x * 0.11 + k) * std::cos(y * 0.07 - k));
  return image;
}

Image there_and_back(const Image& image, const std::string& name, EncodeOptions options) {
  TemporaryFolder folder;
  OutputFile file(folder / name);
  write_image(file, format_of_path(name), copy(image), options);
  return read_image(folder / name);
}

bool same(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && a.channels == b.channels && a.depth == b.depth &&
         memcmp(a.pixels.get(), b.pixels.get(), a.bytes()) == 0;
}

// A profile (ICC.1:2001) of Adobe RGB's primaries and a gamma of 2.2.
std::string adobe_rgb() {
  auto u32 = [](uint32_t v) { return std::string{char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; };
  auto xyz = [&](double x, double y, double z) {
    std::string tag = std::string("XYZ \0\0\0\0", 8);
    for (double v : {x, y, z}) tag += u32(uint32_t(std::lround(v * 65536)));
    return tag;
  };
  std::string name("desc\0\0\0\0\0\0\0\2x\0", 14);
  name.resize(92);
  const std::string curve("curv\0\0\0\0\0\0\0\1\2\x33\0\0", 16);
  const std::vector<std::pair<std::string, std::string>> tags = {
      {"desc", name},
      {"cprt", std::string("text\0\0\0\0free\0\0\0\0", 16)},
      {"rTRC", curve},
      {"gTRC", curve},
      {"bTRC", curve},
      {"wtpt", xyz(0.9505, 1, 1.0891)},
      {"rXYZ", xyz(0.60974, 0.31111, 0.01947)},
      {"gXYZ", xyz(0.20528, 0.62567, 0.06087)},
      {"bXYZ", xyz(0.14919, 0.06322, 0.74457)}};
  std::string table = u32(uint32_t(tags.size())), data;
  const size_t begin = 128 + 4 + 12 * tags.size();
  for (const auto& [tag, value] : tags) {
    table += tag + u32(uint32_t(begin + data.size())) + u32(uint32_t(value.size()));
    data += value;
  }
  std::string head = u32(uint32_t(begin + data.size())) + u32(0) + u32(0x02100000) + "mntrRGB XYZ ";
  head.resize(36);
  head += "acsp";
  head.resize(68);
  head += xyz(0.9642, 1, 0.8249).substr(8);
  head.resize(128);
  return head + table + data;
}

std::vector<const char*> built(std::vector<const char*> names) {
  std::erase_if(names, [](const char* n) { return !can_write(format_of_path(n)); });
  return names;
}

}  // namespace

TEST_CASE("AVIF and JPEG XL without loss give every pixel back", "[apps][avif_jxl]") {
  UPS_RANDOM(r);
  EncodeOptions options;
  options.lossless = true;
  for (const char* name : built({"a.avif", "a.jxl"})) {
    for (int c = 1; c <= 4; c++) {
      for (ups_depth depth : {UPS_U8, UPS_U16, UPS_F32}) {
        INFO(name << " " << c << " channels, depth " << depth);
        Image in = noise(r, r.integer(1, 40), r.integer(1, 40), c, depth);
        if (stored_depth(format_of_path(name), depth) != depth) continue;
        Image out = there_and_back(in, name, options);
        if (format_of_path(name) == Format::avif && depth == UPS_U16) {  // stored with 12 bits
          REQUIRE(out.bytes() == in.bytes());
          const uint16_t *a = reinterpret_cast<uint16_t*>(in.pixels.get()),
                         *b = reinterpret_cast<uint16_t*>(out.pixels.get());
          int worst = 0;
          for (size_t i = 0; i < in.bytes() / 2; i++) worst = std::max(worst, std::abs(a[i] - b[i]));
          CHECK(worst <= 9);  // half a step of 65535 / 4095, and one for rounding twice
        } else {
          CHECK(same(in, out));
        }
      }
    }
  }
}

TEST_CASE("AVIF and JPEG XL with loss follow --quality", "[apps][avif_jxl]") {
  for (const char* name : built({"a.avif", "a.jxl"})) {
    Image in = smooth(90, 70, 3);
    double before = 1e9;
    for (int quality : {95, 60, 20}) {
      EncodeOptions options;
      options.quality = quality;
      Image out = there_and_back(in, name, options);
      REQUIRE(out.bytes() == in.bytes());
      double sum = 0;
      for (size_t i = 0; i < in.bytes(); i++) sum += std::pow(double(in.pixels[i]) - out.pixels[i], 2);
      double psnr = 10 * std::log10(255 * 255 / (sum / double(in.bytes())));
      INFO(name << " quality " << quality << ": " << psnr << " dB");
      CHECK(psnr < before);
      CHECK(psnr > (quality == 95 ? 40 : 25));
      before = psnr;
    }
  }
}

TEST_CASE("AVIF and JPEG XL carry profile, EXIF, XMP and the maker's name", "[apps][avif_jxl]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (const char* name : built({"a.avif", "a.jxl"})) {
    INFO(name);
    Image in = smooth(20, 12, 3);
    in.meta.exif = "";
    exif_add_text(in.meta.exif, 0x010f, "Camera Co");
    in.meta.xmp = "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";
    Image out = there_and_back(in, name, {});
    CHECK(exif_text(out.meta.exif, 0x010f) == "Camera Co");
    CHECK(out.meta.xmp == in.meta.xmp);

    spill(folder / "in.png", random_rgb_png(r, 9, 7));
    Finished f = run({folder / "in.png", folder / name, "-m", tiny_model(), "-s", "3"});
    INFO(f.err);
    REQUIRE(f.code == 0);
    out = read_image(folder / name);
    CHECK(out.width == 27);
    const std::string made = exif_text(out.meta.exif, kExifProcessing);
    CHECK(made.find("srvgg_x2, scale 3") != std::string::npos);
    CHECK(made.find("sha256 ") != std::string::npos);
    CHECK(made.find(ups_version()) != std::string::npos);
  }
}

TEST_CASE("a lossy JPEG XL of other colours is read as sRGB, not in linear light", "[apps][avif_jxl]") {
  if (!can_write(Format::jxl)) return;
  UPS_RANDOM(r);
  const uint8_t level = uint8_t(r.integer(20, 235));
  Image in = allocate_image(24, 16, 3, UPS_U8);
  memset(in.pixels.get(), level, in.bytes());
  in.meta.icc = adobe_rgb();
  const Image out = there_and_back(in, "a.jxl", {});
  CHECK(out.meta.icc == "");
  const double light = std::pow(level / 255.0, 2.2);  // a gray, which has the same light in both
  const double srgb = 255 * (1.055 * std::pow(light, 1 / 2.4) - 0.055);
  for (size_t i = 0; i < out.bytes(); i++) REQUIRE(std::abs(out.pixels[i] - srgb) < 3);

  EncodeOptions lossless;
  lossless.lossless = true;
  const Image kept = there_and_back(in, "a.jxl", lossless);
  CHECK(same(kept, in));
  CHECK(kept.meta.icc == in.meta.icc);
}

TEST_CASE("an EXIF orientation is not applied to AVIF and JPEG XL a second time", "[apps][avif_jxl]") {
  for (const char* name : built({"a.avif", "a.jxl"})) {
    Image in = smooth(20, 12, 3);
    in.meta.exif = std::string("II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26);
    REQUIRE(exif_orientation(in.meta.exif) == 6);
    Image out = there_and_back(in, name, {});
    INFO(name);
    CHECK(out.width == 20);
    CHECK(exif_orientation(out.meta.exif) == 1);
  }
}

TEST_CASE("formats tells what is built", "[apps][avif_jxl]") {
  Finished f = run({"formats"});
  CHECK(f.code == 0);
  for (const char* e : {"webp", "tif", "avif", "jxl"}) {
    size_t at = f.out.find(e), end = f.out.find('\n', at);
    CHECK((f.out.substr(at, end - at).find("not built") == std::string::npos) ==
          is_built(format_of_extension(e)));
  }
}
