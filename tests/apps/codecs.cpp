// JPEG, BMP, TGA, PGM and PPM.
#include <cmath>
#include <cstring>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

Image smooth(int w, int h, int c) {
  Image image = allocate_image(w, h, c, UPS_U8);
  for (int y = 0; y < h; y++) {
    for (int x = 0; x < w; x++) {
      for (int k = 0; k < c; k++) {
        image.row(y)[x * c + k] = uint8_t(128 + 100 * std::sin(x * 0.11 + k) * std::cos(y * 0.07 - k));
      }
    }
  }
  return image;
}

Image there_and_back(const Image& image, const std::string& name) {
  TemporaryFolder folder;
  OutputFile file(folder / name);
  write_image(file, format_of_path(name), copy(image), {});
  return read_image(folder / name);
}

std::string be16(int v) { return {char(v >> 8), char(v)}; }

// The JPEG with an EXIF orientation put in front, big- or little-endian.
std::string with_orientation(const std::string& jpeg, int orientation, bool little) {
  std::string tiff;
  auto u16 = [&](int v) { tiff += little ? std::string{char(v), char(v >> 8)} : be16(v); };
  auto u32 = [&](int v) {
    if (little)
      u16(v), u16(0);
    else
      u16(0), u16(v);
  };
  tiff = little ? "II" : "MM";
  u16(42), u32(8), u16(1), u16(0x0112), u16(3), u32(1), u16(orientation), u16(0), u32(0);
  std::string app1 = std::string("Exif\0\0", 6) + tiff;
  return jpeg.substr(0, 2) + "\xff\xe1" + be16(int(app1.size()) + 2) + app1 + jpeg.substr(2);
}

}  // namespace

TEST_CASE("BMP and TGA keep every bit of RGB and RGBA", "[apps][codecs]") {
  UPS_RANDOM(r);
  for (const char* name : {"a.bmp", "a.tga"}) {
    for (int c : {3, 4}) {
      Image in = allocate_image(r.integer(1, 70), r.integer(1, 70), c, UPS_U8);
      auto bytes = random_bytes(r, in.bytes());
      memcpy(in.pixels.get(), bytes.data(), bytes.size());
      in.pixels[3 % c] |= 1;  // stb reads an all-zero alpha plane as opaque
      if (c == 4)
        for (size_t i = 3; i < in.bytes(); i += 4) in.pixels[i] |= 1;
      Image out = there_and_back(in, name);
      INFO(name << " " << c);
      REQUIRE(out.width == in.width);
      REQUIRE(out.height == in.height);
      REQUIRE(out.channels == c);
      CHECK(memcmp(in.pixels.get(), out.pixels.get(), in.bytes()) == 0);
    }
  }
}

TEST_CASE("TGA keeps gray and gray with alpha", "[apps][codecs]") {
  UPS_RANDOM(r);
  for (int c : {1, 2}) {
    Image in = allocate_image(33, 9, c, UPS_U8);
    auto bytes = random_bytes(r, in.bytes());
    memcpy(in.pixels.get(), bytes.data(), bytes.size());
    Image out = there_and_back(in, "a.tga");
    REQUIRE(out.channels == c);
    CHECK(memcmp(in.pixels.get(), out.pixels.get(), in.bytes()) == 0);
  }
}

TEST_CASE("JPEG at the default quality stays close on smooth content", "[apps][codecs]") {
  Image in = smooth(93, 61, 3), out = there_and_back(in, "a.jpg");
  REQUIRE(out.width == 93);
  REQUIRE(out.height == 61);
  double sum = 0;
  for (size_t i = 0; i < in.bytes(); i++) sum += std::pow(in.pixels[i] - out.pixels[i], 2);
  CHECK(10 * std::log10(255 * 255 * double(in.bytes()) / sum) > 38);  // dB
}

TEST_CASE("JPEG flattens alpha over white", "[apps][codecs]") {
  Image in = allocate_image(16, 16, 4, UPS_U8);
  for (size_t i = 0; i < in.bytes(); i += 4) memcpy(in.pixels.get() + i, "\x00\x00\x00\x40", 4);  // black, 64
  Image out = there_and_back(in, "a.jpg");
  REQUIRE(out.channels == 3);
  for (size_t i = 0; i < out.bytes(); i++) REQUIRE(std::abs(int(out.pixels[i]) - (255 - 64)) <= 2);
}

TEST_CASE("16-bit pixels are rounded, not truncated, where a format holds 8", "[apps][codecs]") {
  Image in = allocate_image(3, 1, 3, UPS_U16);
  uint16_t v[9] = {0, 65535, 128, 129, 32767, 32768, 257, 385, 386};
  memcpy(in.pixels.get(), v, sizeof v);
  Image out = there_and_back(in, "a.bmp");
  for (int i = 0; i < 9; i++) CHECK(int(out.pixels[i]) == int(std::lround(v[i] / 257.0)));
}

TEST_CASE("the EXIF orientation is applied to the pixels", "[apps][codecs]") {
  // Four flat quadrants survive JPEG; where they end up tells the orientation. Values per quadrant of the
  // upright picture, row by row, follow EXIF 2.3, 4.6.4 A (0th row and 0th column).
  Image in = allocate_image(64, 32, 1, UPS_U8);
  const int quadrant[4] = {20, 90, 160, 230};
  for (int y = 0; y < 32; y++) {
    for (int x = 0; x < 64; x++) in.row(y)[x] = uint8_t(quadrant[(y / 16) * 2 + x / 32]);
  }
  TemporaryFolder folder;
  {
    OutputFile file(folder / "a.jpg");
    write_image(file, Format::jpeg, copy(in), {});
  }
  std::string jpeg = slurp(folder / "a.jpg");
  const int expected[9][4] = {{},
                              {20, 90, 160, 230},   // 0th row top, 0th column left
                              {90, 20, 230, 160},   // top, right: mirrored
                              {230, 160, 90, 20},   // bottom, right: half a turn
                              {160, 230, 20, 90},   // bottom, left: upside down mirror
                              {20, 160, 90, 230},   // left, top: transposed
                              {160, 20, 230, 90},   // right, top: a quarter turn clockwise
                              {230, 90, 160, 20},   // right, bottom
                              {90, 230, 20, 160}};  // left, bottom: a quarter turn counter-clockwise
  for (int o = 1; o <= 8; o++) {
    for (bool little : {false, true}) {
      Image out = decode_image(with_orientation(jpeg, o, little), "o.jpg");
      INFO("orientation " << o << " little " << little);
      REQUIRE(out.width == (o >= 5 ? 32 : 64));
      REQUIRE(out.height == (o >= 5 ? 64 : 32));
      for (int q = 0; q < 4; q++) {
        int x = out.width / 4 + (q % 2) * out.width / 2, y = out.height / 4 + (q / 2) * out.height / 2;
        CHECK(std::abs(out.row(y)[x * out.channels] - expected[o][q]) <= 3);
      }
    }
  }
}

TEST_CASE("truncated JPEG, BMP, TGA and PPM files are refused", "[apps][codecs]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Image image = smooth(40, 30, 3);
  for (const char* name : {"a.jpg", "a.bmp", "a.tga"}) {
    {
      OutputFile file(folder / name);
      write_image(file, format_of_path(name), copy(image), {});
    }
    std::string bytes = slurp(folder / name);
    for (int k = 0; k < 40; k++) {
      size_t n = size_t(r.integer(0, int(bytes.size()) - 3));  // the last row of a BMP may end in padding
      INFO(name << " cut to " << n << " of " << bytes.size());
      CHECK_THROWS_AS(decode_image(bytes.substr(0, n), name), Failure);
    }
  }
  std::string ppm = "P6\n# a comment\n4 3\n255\n" + std::string(36, 'x');
  CHECK(decode_image(ppm, "a.ppm").width == 4);
  for (size_t n = 0; n < ppm.size(); n++) CHECK_THROWS_AS(decode_image(ppm.substr(0, n), "a.ppm"), Failure);
}

TEST_CASE("PGM and PPM are scaled by their maximum value", "[apps][codecs]") {
  Image g = decode_image(std::string("P5 3 1 10\n") + '\0' + '\5' + '\12', "a.pgm");
  REQUIRE(g.channels == 1);
  CHECK(int(g.pixels[0]) == 0);
  CHECK(int(g.pixels[1]) == 128);
  CHECK(int(g.pixels[2]) == 255);
  const auto code = [](const std::string& bytes) {
    try {
      decode_image(bytes, "a.pnm");
    } catch (const Failure& e) {
      return e.code;
    }
    return int(kOk);
  };
  CHECK(code("P2 2 2 255\n1 2 3 4") == kOk);
  CHECK(code("P2 2 2 255\n1 2 3 x") == kIo);  // as many bytes as pixels, but no number
  const std::string pam = "P7\nWIDTH 1\nHEIGHT 1\nMAXVAL 255\nDEPTH ";
  CHECK(code(pam + "4\nENDHDR\n1234") == kOk);
  CHECK(code(pam + "5\nENDHDR\n12345") == kIo);
  Image wide = decode_image(std::string("P5 2 1 65535\n") + "\x12\x34\xff\xff", "a.pgm");
  REQUIRE(wide.depth == UPS_U16);
  CHECK(reinterpret_cast<uint16_t*>(wide.pixels.get())[0] == 0x1234);
  CHECK(reinterpret_cast<uint16_t*>(wide.pixels.get())[1] == 0xffff);
}

TEST_CASE("random bytes behind any magic are refused or decoded, never worse", "[apps][codecs]") {
  UPS_RANDOM(r);
  for (const char* magic : {"BM", "P6 9 9 255 ", "\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n", ""}) {
    for (int k = 0; k < 300; k++) {
      auto noise = random_bytes(r, size_t(r.integer(0, 200)));
      try {
        decode_image(magic + std::string(noise.begin(), noise.end()), "noise.tga");
      } catch (const Failure& e) {
        CHECK((e.code == kIo || e.code == kMemory));
      }
    }
  }
}
