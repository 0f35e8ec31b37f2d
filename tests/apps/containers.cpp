// WebP, TIFF, PFM, PPM and GIF: against libtiff, libwebp and bytes written by hand.
#include <cmath>
#include <cstring>

#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"
#include "tests/apps/jpeg_file.h"
#include "tests/apps/process.h"
#ifdef UPS_TIFF
#include "tests/apps/tiff_file.h"
#endif
#ifdef UPS_WEBP
#include <webp/decode.h>
#include <webp/mux.h>
#endif

using namespace ups::apps;
using namespace ups::testing;

namespace {

Image noise(Random& r, int w, int h, int c, ups_depth depth) {
  Image image = allocate_image(w, h, c, depth);
  if (depth == UPS_F32) {
    float* p = reinterpret_cast<float*>(image.pixels.get());
    for (size_t i = 0; i < image.bytes() / 4; i++) p[i] = r.uniform(-0.5f, 1.5f);
  } else {
    for (size_t i = 0; i < image.bytes(); i++) image.pixels[i] = uint8_t(r.engine());
  }
  return image;
}

bool same(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && a.channels == b.channels && a.depth == b.depth &&
         memcmp(a.pixels.get(), b.pixels.get(), a.bytes()) == 0;
}

std::string encoded(const Image& image, Format format, EncodeOptions options = {}) {
  TemporaryFolder folder;
  OutputFile file(folder / "x");
  write_image(file, format, copy(image), options);
  return slurp(folder / "x");
}

// 2x2 pixels, two frames; the first shows colours 0 1 / 1 0 of red and blue.
const std::string kGif = std::string("GIF89a\2\0\2\0\x80\0\0\xff\0\0\0\0\xff", 19) +
                         std::string("\x2c\0\0\0\0\2\0\2\0\0\2\3\x44\x02\x05\0", 16) +
                         std::string("\x2c\0\0\0\0\2\0\2\0\0\2\3\x44\x02\x05\0\x3b", 17);

}  // namespace

#ifdef UPS_TIFF
TEST_CASE("libtiff reads what the TIFF writer writes, bit for bit, and so do we", "[apps][tiff]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (ups_depth depth : {UPS_U8, UPS_U16, UPS_F32}) {
    for (int c = 1; c <= 4; c++) {
      Image in = noise(r, r.integer(1, 90), r.integer(1, 200), c, depth);
      in.meta.icc = "not a real profile";
      in.meta.dpi_x = in.meta.dpi_y = 300;
      std::string bytes = encoded(in, Format::tiff);
      INFO("depth " << depth << " channels " << c << " " << in.width << "x" << in.height);
      Image back = decode_image(bytes, "x.tif");
      REQUIRE(same(back, in));
      CHECK(back.meta.icc == in.meta.icc);
      CHECK(back.meta.dpi_x == Approx(300));
      spill(folder / "x.tif", bytes);
      TIFF* t = TIFFOpen((folder / "x.tif").c_str(), "r");
      REQUIRE(t);
      REQUIRE(size_t(TIFFScanlineSize(t)) == in.row_bytes());
      std::vector<uint8_t> row(in.row_bytes());
      bool equal = true;
      for (int y = 0; y < in.height; y++) {
        equal &= TIFFReadScanline(t, row.data(), uint32_t(y), 0) == 1;
        equal &= memcmp(row.data(), in.row(y), in.row_bytes()) == 0;
      }
      TIFFClose(t);
      CHECK(equal);
    }
  }
}

TEST_CASE("TIFF strips, tiles, planes, byte orders and compressions are read alike", "[apps][tiff]") {
  UPS_RANDOM(r);
  for (const char* mode : {"wl", "wb", "w8"}) {
    for (int tile : {0, 16}) {
      for (int planar : {PLANARCONFIG_CONTIG, PLANARCONFIG_SEPARATE}) {
        for (int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
          int bits = r.integer(0, 1) ? 8 : 16, w = r.integer(1, 50), h = r.integer(1, 50);
          size_t sample = size_t(bits / 8);
          auto rows = random_bytes(r, size_t(w) * h * 3 * sample);
          TiffFile f{w, h, 3, bits, PHOTOMETRIC_RGB, planar, compression, -1, tile, 1, mode};
          Image image = decode_image(libtiff_bytes(f, rows), "x.tif");
          INFO(mode << " tile " << tile << " planar " << planar << " compression " << compression << " bits "
                    << bits);
          REQUIRE(image.width == w);
          REQUIRE(image.channels == 3);
          bool equal = true;
          for (int i = 0; i < w * h && equal; i++) {
            for (int c = 0; c < 3; c++) {
              size_t at = planar == PLANARCONFIG_CONTIG ? size_t(i) * 3 + c : size_t(c) * w * h + i;
              equal &= memcmp(&rows[at * sample], &image.pixels[(size_t(i) * 3 + c) * sample], sample) == 0;
            }
          }
          CHECK(equal);
        }
      }
    }
  }
}

TEST_CASE("TIFF palettes, ink, inverted gray, associated alpha and orientation become plain pixels",
          "[apps][tiff]") {
  Image p = decode_image(libtiff_bytes({2, 1, 1, 8, PHOTOMETRIC_PALETTE}, {10, 200}), "x.tif");
  REQUIRE(p.channels == 3);
  CHECK(std::vector<int>(p.row(0), p.row(0) + 6) == std::vector<int>{10, 245, 0, 200, 55, 0});
  Image ink = decode_image(libtiff_bytes({1, 1, 4, 8, PHOTOMETRIC_SEPARATED}, {0, 255, 0, 0}), "x.tif");
  REQUIRE(ink.channels == 3);
  CHECK(std::vector<int>(ink.row(0), ink.row(0) + 3) == std::vector<int>{255, 0, 255});
  Image white = decode_image(libtiff_bytes({2, 1, 1, 8, PHOTOMETRIC_MINISWHITE}, {0, 200}), "x.tif");
  REQUIRE(white.channels == 1);
  CHECK(std::vector<int>(white.row(0), white.row(0) + 2) == std::vector<int>{255, 55});
  TiffFile premultiplied{
      1, 1, 4, 8, PHOTOMETRIC_RGB, PLANARCONFIG_CONTIG, COMPRESSION_NONE, EXTRASAMPLE_ASSOCALPHA};
  Image straight = decode_image(libtiff_bytes(premultiplied, {100, 50, 0, 128}), "x.tif");
  REQUIRE(straight.channels == 4);
  CHECK(std::vector<int>(straight.row(0), straight.row(0) + 4) == std::vector<int>{199, 100, 0, 128});
  TiffFile turned{2, 1, 1, 8, PHOTOMETRIC_MINISBLACK};
  turned.orientation = 6;
  Image upright = decode_image(libtiff_bytes(turned, {1, 2}), "x.tif");
  CHECK(upright.width == 1);
  REQUIRE(upright.height == 2);
  CHECK(int(upright.pixels[0]) == 1);
  for (char wrong : {0, 9}) {  // some programs write these; the picture is whole
    turned.mode = "wl";
    std::string bytes = libtiff_bytes(turned, {1, 2});
    const size_t at = bytes.find(std::string("\x12\x01\x03\0\x01\0\0\0", 8));
    REQUIRE(at != std::string::npos);
    bytes[at + 8] = wrong;
    Image as_it_lies = decode_image(bytes, "x.tif");
    CHECK(as_it_lies.width == 2);
    CHECK(int(as_it_lies.pixels[1]) == 2);
  }
}
#endif

#ifdef UPS_WEBP
TEST_CASE("lossless WebP keeps every bit, lossy WebP stays close, both as libwebp reads them",
          "[apps][webp]") {
  UPS_RANDOM(r);
  for (int c : {1, 2, 3, 4}) {
    Image in = noise(r, r.integer(1, 60), r.integer(1, 60), c, UPS_U8);
    std::string bytes = encoded(in, Format::webp, {4, 0, 0, true});
    int w = 0, h = 0;
    uint8_t* rgba = WebPDecodeRGBA(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &w, &h);
    REQUIRE(rgba);
    REQUIRE(w == in.width);
    bool equal = true;
    for (int i = 0; i < w * h; i++) {
      const uint8_t* s = in.pixels.get() + i * c;
      for (int k = 0; k < 3; k++) equal &= rgba[i * 4 + k] == (c <= 2 ? s[0] : s[k]);
      equal &= rgba[i * 4 + 3] == (c % 2 ? 255 : s[c - 1]);
    }
    WebPFree(rgba);
    CHECK(equal);
    Image back = decode_image(bytes, "x");
    CHECK(back.channels == (c % 2 ? 3 : 4));
  }
  Image flat = allocate_image(40, 40, 3, UPS_U8);
  memset(flat.pixels.get(), 99, flat.bytes());
  Image back = decode_image(encoded(flat, Format::webp), "x");
  for (size_t i = 0; i < back.bytes(); i++) REQUIRE(std::abs(int(back.pixels[i]) - 99) <= 3);
}

TEST_CASE("WebP carries profile, EXIF and XMP, as libwebpmux reads them", "[apps][webp]") {
  UPS_RANDOM(r);
  Image in = noise(r, 9, 9, 4, UPS_U8);
  in.meta.icc = "profile", in.meta.exif = "II*", in.meta.xmp = "<x/>";
  std::string bytes = encoded(in, Format::webp);
  WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, chunk;
  WebPMux* mux = WebPMuxCreate(&data, 0);
  REQUIRE(mux);
  for (auto [id, text] : {std::pair{"ICCP", "profile"}, {"EXIF", "II*"}, {"XMP ", "<x/>"}}) {
    REQUIRE(WebPMuxGetChunk(mux, id, &chunk) == WEBP_MUX_OK);
    CHECK(std::string(reinterpret_cast<const char*>(chunk.bytes), chunk.size) == text);
  }
  WebPMuxDelete(mux);
  Image back = decode_image(bytes, "x");
  CHECK(back.meta.icc == "profile");
  CHECK(back.meta.xmp == "<x/>");
}
#endif

TEST_CASE("PPM, PGM and PFM are written as Netpbm defines them", "[apps][pnm]") {
  Image rgb = allocate_image(1, 2, 3, UPS_U8);
  memcpy(rgb.pixels.get(), "abcdef", 6);
  CHECK(encoded(rgb, Format::pnm) == "P6\n1 2\n255\nabcdef");
  Image wide = allocate_image(2, 1, 1, UPS_U16);
  reinterpret_cast<uint16_t*>(wide.pixels.get())[0] = 0x1234;
  reinterpret_cast<uint16_t*>(wide.pixels.get())[1] = 0xff00;
  CHECK(encoded(wide, Format::pnm) == "P5\n2 1\n65535\n\x12\x34" + std::string("\xff\0", 2));
  Image f = allocate_image(1, 2, 1, UPS_F32);
  reinterpret_cast<float*>(f.pixels.get())[0] = 1;   // 3f800000
  reinterpret_cast<float*>(f.pixels.get())[1] = -2;  // c0000000
  std::string bytes = encoded(f, Format::pfm);
  CHECK(bytes == std::string("Pf\n1 2\n-1.0\n\0\0\0\xc0\0\0\x80\x3f", 20));
  CHECK(same(decode_image(bytes, "x.pfm"), f));
  std::string big = std::string("Pf\n1 2\n1.0\n\xc0\0\0\0\x3f\x80\0\0", 19);
  CHECK(same(decode_image(big, "x.pfm"), f));
}

TEST_CASE("the first frame of a GIF is read, and said to be the first", "[apps][gif]") {
  Image image = decode_image(kGif, "x.gif");
  REQUIRE(image.width == 2);
  REQUIRE(image.channels >= 3);
  CHECK(int(image.pixels[0]) == 255);
  CHECK(int(image.pixels[2]) == 0);
  CHECK(int(image.row(0)[image.channels + 2]) == 255);
  CHECK(image.notes.find("first frame") != std::string::npos);
}

TEST_CASE("depths convert exactly where they can and to the nearest where they cannot",
          "[apps][pixel_format]") {
  Image bytes = allocate_image(16, 16, 1, UPS_U8);
  for (int i = 0; i < 256; i++) bytes.pixels[i] = uint8_t(i);
  for (ups_depth wide : {UPS_U16, UPS_F32}) {
    Image w = convert_depth(copy(bytes), wide);
    CHECK(w.depth == wide);
    CHECK(same(convert_depth(std::move(w), UPS_U8), bytes));
  }
  Image f = allocate_image(3, 1, 1, UPS_F32);
  const float v[3] = {-1, 0.5f, 7};
  memcpy(f.pixels.get(), v, sizeof v);
  Image u = convert_depth(std::move(f), UPS_U8);
  CHECK(int(u.pixels[0]) == 0);
  CHECK(int(u.pixels[1]) == 128);
  CHECK(int(u.pixels[2]) == 255);
}

namespace {

// One file of each format, from the writers tested above and libjpeg.
std::vector<std::pair<std::string, std::string>> specimens(Random& r) {
  std::vector<std::pair<std::string, std::string>> all;
  Image rgb = noise(r, 24, 20, 3, UPS_U8);
  for (const char* name :
       {"a.png", "a.jpg", "a.bmp", "a.tga", "a.ppm", "a.pfm", "a.webp", "a.tif", "a.avif", "a.jxl"}) {
    Format f = format_of_path(name);
    if (can_write(f)) all.emplace_back(name, encoded(rgb, f));
  }
  all.emplace_back("a.gif", kGif.substr(0, 35) + ";");
  JpegFile progressive{24, 20, 3, JCS_RGB, JCS_YCbCr, true};
  progressive.rows = random_bytes(r, 24 * 20 * 3);
  all.emplace_back("p.jpg", libjpeg_bytes(progressive));
#ifdef UPS_TIFF
  all.emplace_back("t.tif",
                   libtiff_bytes({40, 30, 1, 8, PHOTOMETRIC_PALETTE, PLANARCONFIG_CONTIG, COMPRESSION_LZW},
                                 random_bytes(r, 1200)));
#endif
  return all;
}

}  // namespace

TEST_CASE("every format cut short at 50 places is refused with code 6", "[apps][hostile]") {
  UPS_RANDOM(r);
  for (const auto& [name, bytes] : specimens(r)) {
    REQUIRE(decode_image(bytes, name).width > 1);
    // What may be missing without harm: PNG's last chunk, padding of BMP rows, the closing byte of a GIF, and
    // TIFF's directory entries, which libtiff writes behind the pixels.
    int slack = name == "a.png" ? 13 : name == "a.bmp" ? 4 : name == "a.gif" ? 2 : name == "a.webp" ? 2 : 1;
    for (int k = 0; k < 50; k++) {
      size_t n = size_t(r.integer(0, int(bytes.size()) - slack));
      INFO(name << " cut to " << n << " of " << bytes.size());
      bool tiff_tail = name.ends_with(".tif") && n > bytes.size() - 16;
      try {
        decode_image(bytes.substr(0, n), name);
        CHECK(tiff_tail);
      } catch (const Failure& e) {
        CHECK(e.code == kIo);
        CHECK(std::string(e.what()).find('\n') == std::string::npos);
      }
    }
  }
}

TEST_CASE("every format with bytes changed is decoded or refused, never worse", "[apps][hostile]") {
  UPS_RANDOM(r);
  for (const auto& [name, bytes] : specimens(r)) {
    for (int k = 0; k < 200; k++) {
      std::string bad = bytes;
      for (int flips = r.integer(1, 6); flips > 0; flips--) {
        size_t near =
            k % 2 ? std::min<size_t>(bad.size(), 64) : bad.size();  // headers more often than pixels
        bad[size_t(r.integer(0, int(near) - 1))] = char(r.engine());
      }
      INFO(name);
      try {
        Image image = decode_image(bad, name);
        CHECK(image.width > 0);
      } catch (const Failure& e) {
        bool fitting = e.code == kIo || e.code == kMemory;
        CHECK(fitting);
      }
    }
  }
}

TEST_CASE("headers that promise absurd sizes are refused without allocating them", "[apps][hostile]") {
  std::vector<std::pair<const char*, std::string>> absurd = {
      {"a.ppm", "P6\n1000000 1000000\n255\nabc"},
      {"a.pfm", "PF\n1000000 1000\n-1.0\nabc"},
      {"a.pfm", "PF\n99999999999999999999 99999999999999999999\n-1.0\nabc"},
      {"a.gif", std::string("GIF89a\xff\xff\xff\xff\0\0\0\x2c\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;", 27)},
      {"a.tga", std::string("\0\0\2\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x18\0xxx", 21)},
      {"a.bmp",
       std::string("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f\1\0\x18\0", 30) +
           std::string(40, '\0')},
#ifdef UPS_TIFF
      {"a.tif", std::string("II*\0\x08\0\0\0\2\0"
                            "\0\1\4\0\1\0\0\0\0\0\0\x7f"
                            "\1\1\4\0\1\0\0\0\0\0\0\x7f"
                            "\0\0\0\0",
                            38)},
#endif
  };
  for (const auto& [name, bytes] : absurd) {
    INFO(name);
    try {
      decode_image(bytes, name);
      CHECK(false);
    } catch (const Failure& e) {
      CHECK(e.code == kIo);
    }
  }
}

TEST_CASE("sizes a format cannot hold are refused in a sentence", "[apps][containers]") {
  CHECK_THROWS_WITH(check_writable(Format::webp, 16384, 1, "o.webp"), Catch::Contains("16383"));
  CHECK_THROWS_WITH(check_writable(Format::jpeg, 1, 65536, "o.jpg"), Catch::Contains("65500"));
  CHECK_NOTHROW(check_writable(Format::webp, 16383, 16383, "o.webp"));
}

TEST_CASE("depth follows --depth where the format holds it, else the input", "[apps][containers]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 9, 7));
  struct Case {
    const char* out;
    std::vector<std::string> more;
    ups_depth depth;
  };
  std::vector<Case> cases = {
      {"a.png", {}, UPS_U8}, {"b.png", {"--depth", "16"}, UPS_U16}, {"c.pfm", {}, UPS_F32}};
  if (can_write(Format::tiff)) {
    cases.push_back({"d.tif", {"--depth", "32f"}, UPS_F32});
    cases.push_back({"e.tif", {"--depth", "16"}, UPS_U16});
  }
  if (can_write(Format::webp)) cases.push_back({"f.webp", {"--lossless"}, UPS_U8});
  for (auto c : cases) {
    c.more.insert(c.more.begin(), {folder / "in.png", folder / c.out, "-m", tiny_model()});
    Finished f = run(c.more);
    INFO(c.out << f.err);
    REQUIRE(f.code == 0);
    Image image = read_image(folder / c.out);
    CHECK(image.depth == c.depth);
    CHECK(image.width == 18);
    // And back in again: every container is an input, too.
    CHECK(run({folder / c.out, folder / "again.png", "-m", tiny_model()}).code == 0);
  }
}
