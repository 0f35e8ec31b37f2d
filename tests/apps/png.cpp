// Our PNG writer against libpng's reader, and our reader against libpng's writer: bit exact.
#include <chrono>
#include <cstring>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

// Content decides what deflate does: noise is stored, flat areas are long matches, gradients suit filters.
Image picture(Random& r, int w, int h, int c, ups_depth depth, int kind) {
  Image image = allocate_image(w, h, c, depth);
  for (int y = 0; y < h; y++) {
    uint8_t* row = image.row(y);
    for (size_t i = 0; i < image.row_bytes(); i++) {
      uint8_t noise = uint8_t(r.engine());
      row[i] = kind == 0   ? noise
               : kind == 1 ? 77
               : kind == 2 ? uint8_t(i / 3 + y * 2 + noise % 4)
                           : uint8_t((i / 64 + y / 16) % 2 * 255);
    }
  }
  return image;
}

bool same(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && a.channels == b.channels && a.depth == b.depth &&
         memcmp(a.pixels.get(), b.pixels.get(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("libpng decodes what the PNG writer writes, bit for bit", "[apps][png_write]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string path = folder / "a.png";
  for (int kind = 0; kind < 4; kind++) {
    for (ups_depth depth : {UPS_U8, UPS_U16}) {
      for (int c = 1; c <= 4; c++) {
        int w = r.integer(1, 400), h = r.integer(1, 300);
        int level = r.integer(0, 12), threads = r.integer(1, 4);
        INFO("kind " << kind << " depth " << depth << " " << w << "x" << h << "x" << c << " level " << level
                     << " threads " << threads);
        Image image = picture(r, w, h, c, depth, kind);
        OutputFile file(path);
        write_image(file, Format::png, copy(image), {level, 95, threads});
        REQUIRE(same(decode_png(slurp(path), path), image));
      }
    }
  }
}

TEST_CASE("a PNG of many strips is one valid stream at every level", "[apps][png_write]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string path = folder / "a.png";
  for (int level = 0; level <= 12; level++) {
    // About 3.5 strips; every kind of content, so that cuts fall behind stored, fixed and dynamic blocks.
    Image image = picture(r, 1024 + level, 860, 3, UPS_U8, level % 4);
    OutputFile file(path);
    write_image(file, Format::png, copy(image), {level, 95, 1 + level % 3});
    INFO("level " << level);
    REQUIRE(same(decode_png(slurp(path), path), image));
  }
}

TEST_CASE("very wide and very narrow PNGs survive", "[apps][png_write]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string path = folder / "a.png";
  for (auto [w, h] : {std::pair{300000, 4}, std::pair{1, 5000}, std::pair{1, 1}}) {
    Image image = picture(r, w, h, 3, UPS_U8, 2);
    OutputFile file(path);
    write_image(file, Format::png, copy(image), {});
    REQUIRE(same(decode_png(slurp(path), path), image));
  }
}

TEST_CASE("a smaller file comes out at a higher level", "[apps][png_write]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Image image = picture(r, 700, 500, 3, UPS_U8, 2);
  size_t sizes[3];
  int levels[3] = {0, 4, 12}, k = 0;
  for (int level : levels) {
    OutputFile file(folder / "a.png");
    write_image(file, Format::png, copy(image), {level, 95, 1});
    sizes[k++] = slurp(folder / "a.png").size();
  }
  CHECK(sizes[0] > image.bytes());
  CHECK(sizes[1] < sizes[0] / 2);
  CHECK(sizes[2] <= sizes[1]);
}

TEST_CASE("every kind of PNG is read into the channels it means", "[apps][png_read]") {
  UPS_RANDOM(r);
  int w = r.integer(1, 40), h = r.integer(1, 40);
  struct Kind {
    int bits, type, channels;
  };
  for (Kind k : {Kind{8, PNG_COLOR_TYPE_GRAY, 1}, Kind{8, PNG_COLOR_TYPE_GRAY_ALPHA, 2},
                 Kind{8, PNG_COLOR_TYPE_RGB, 3}, Kind{8, PNG_COLOR_TYPE_RGBA, 4},
                 Kind{16, PNG_COLOR_TYPE_GRAY, 1}, Kind{16, PNG_COLOR_TYPE_GRAY_ALPHA, 2},
                 Kind{16, PNG_COLOR_TYPE_RGB, 3}, Kind{16, PNG_COLOR_TYPE_RGBA, 4}}) {
    for (bool interlaced : {false, true}) {
      PngFile f{w,  h,  k.bits,    k.type, random_bytes(r, size_t(w) * h * k.channels * k.bits / 8),
                {}, {}, interlaced};
      Image image = decode_image(libpng_bytes(f), "test.png");
      INFO("bits " << k.bits << " type " << k.type << " interlaced " << interlaced);
      REQUIRE(image.channels == k.channels);
      REQUIRE(image.depth == (k.bits == 16 ? UPS_U16 : UPS_U8));
      for (size_t i = 0, n = f.rows.size() * 8 / size_t(k.bits); i < n; i++) {
        if (k.bits == 8) {
          REQUIRE(image.pixels[i] == f.rows[i]);
        } else {
          REQUIRE(reinterpret_cast<uint16_t*>(image.pixels.get())[i] ==
                  (f.rows[2 * i] << 8 | f.rows[2 * i + 1]));
        }
      }
    }
  }
}

TEST_CASE("palettes become RGB, and RGBA when they carry transparency", "[apps][png_read]") {
  PngFile f{3, 2, 8, PNG_COLOR_TYPE_PALETTE, {0, 1, 2, 2, 1, 0}, {{1, 2, 3}, {40, 50, 60}, {250, 251, 252}}};
  Image rgb = decode_image(libpng_bytes(f), "p.png");
  REQUIRE(rgb.channels == 3);
  CHECK(std::vector<int>(rgb.row(0), rgb.row(0) + 9) == std::vector<int>{1, 2, 3, 40, 50, 60, 250, 251, 252});
  f.palette_alpha = {0, 128};  // the third is opaque
  Image rgba = decode_image(libpng_bytes(f), "p.png");
  REQUIRE(rgba.channels == 4);
  CHECK(std::vector<int>(rgba.row(0), rgba.row(0) + 12) ==
        std::vector<int>{1, 2, 3, 0, 40, 50, 60, 128, 250, 251, 252, 255});
  PngFile bits{8, 1, 1, PNG_COLOR_TYPE_GRAY, {0xa5}};
  Image gray = decode_image(libpng_bytes(bits), "g.png");
  REQUIRE(gray.channels == 1);
  CHECK(std::vector<int>(gray.row(0), gray.row(0) + 8) == std::vector<int>{255, 0, 255, 0, 0, 255, 0, 255});
}

TEST_CASE("a PNG cut short anywhere, or with any byte changed, never decodes to something else",
          "[apps][png_read]") {
  UPS_RANDOM(r);
  std::string png = random_rgb_png(r, 16, 12);
  for (size_t n = 0; n < png.size() - 12; n++) {  // the last 12 bytes are the IEND chunk
    try {
      decode_image(png.substr(0, n), "cut.png");
      FAIL("decoded " << n << " of " << png.size() << " bytes");
    } catch (const Failure& e) {
      REQUIRE(e.code == kIo);
    }
  }
}

TEST_CASE("a header that promises more pixels than the file can hold is refused before allocating",
          "[apps][png_read]") {
  UPS_RANDOM(r);
  std::string png = random_rgb_png(r, 8, 8);
  for (uint32_t side : {100000u, 0x7fffffffu}) {
    std::string bad = png;
    for (int i = 0; i < 4; i++) bad[16 + i] = bad[20 + i] = char(side >> (24 - 8 * i));
    CHECK_THROWS_AS(decode_image(bad, "huge.png"), Failure);
  }
}

TEST_CASE("PNG encoding speed", "[.bench]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Image image = picture(r, 2048, 2048, 3, UPS_U8, 2);
  for (int level : {1, 4, 6, 9}) {
    auto t0 = std::chrono::steady_clock::now();
    OutputFile file(folder / "a.png");
    write_image(file, Format::png, copy(image), {level, 95, 0});
    std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - t0;
    WARN("level " << level << ": " << took.count() << " ms, " << slurp(folder / "a.png").size() << " bytes");
  }
}
