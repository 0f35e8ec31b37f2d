// Profiles, EXIF, XMP, resolution and text survive; checked with libpng and libjpeg, not with our own
// readers.
#include "apps/codecs/metadata.h"

#include <cstring>

#include "apps/codecs/exif.h"
#include "apps/codecs/exif_directories.h"
#include "apps/codecs/image_io.h"
#include "tests/apps/jpeg_file.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using namespace ups::apps;

namespace {

const std::string kExifHead("Exif\0\0", 6), kXmpHead("http://ns.adobe.com/xap/1.0/\0", 29);
const std::string kXmp = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><a tiff:Orientation=\"6\"/></x:xmpmeta>";

std::string profile(const char* space, size_t bytes, Random& r) {
  auto noise = random_bytes(r, bytes);
  std::string icc(noise.begin(), noise.end());
  uint32_t n = uint32_t(bytes);
  for (int i = 0; i < 4; i++) icc[i] = char(n >> (24 - 8 * i));
  icc.replace(8, 4, std::string("\4\x30\0\0", 4));
  icc.replace(12, 12, std::string("mntr") + space + "XYZ ");
  icc.replace(36, 4, "acsp");
  icc.replace(64, 4, std::string(4, '\0'));                                  // perceptual
  icc.replace(68, 12, std::string("\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d", 12));  // D50
  icc.replace(128, 4, std::string(4, '\0'));                                 // no tags
  return icc;
}

// Orientation, Make, XResolution 300, and an Exif directory with PixelXDimension. Big- or little-endian.
std::string camera_block(bool little, int orientation) {
  std::string s = little ? "II" : "MM";
  auto u16 = [&](int v) {
    s += little ? std::string{char(v), char(v >> 8)} : std::string{char(v >> 8), char(v)};
  };
  auto u32 = [&](int v) { little ? (u16(v & 0xffff), u16(v >> 16)) : (u16(v >> 16), u16(v & 0xffff)); };
  u16(42), u32(8), u16(5);
  u16(0x010f), u16(2), u32(10), u32(74);                  // Make, behind the directory
  u16(0x0112), u16(3), u32(1), u16(orientation), u16(0);  // Orientation
  u16(0x011a), u16(5), u32(1), u32(84);                   // XResolution
  u16(0x011b), u16(5), u32(1), u32(84);                   // YResolution
  u16(0x8769), u16(4), u32(1), u32(92);                   // Exif directory
  u32(0);
  s += std::string("Camera Co\0", 10);  // 74
  u32(300), u32(1);                     // 84
  u16(1), u16(0xa002), u16(4), u32(1), u32(16), u32(0);
  return s;
}

struct PngSeen {
  std::string icc, exif;
  std::vector<std::pair<std::string, std::string>> texts;
  uint32_t per_metre = 0;
  double gamma = 0;
  std::string text(const std::string& key) const {
    for (const auto& [k, v] : texts) {
      if (k == key) return v;
    }
    return "";
  }
};

PngSeen libpng_see(const std::string& bytes) {
  PngSeen seen;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::string_view rest = bytes;
  png_set_read_fn(png, &rest, [](png_structp p, png_bytep d, size_t n) {
    auto* r = static_cast<std::string_view*>(png_get_io_ptr(p));
    memcpy(d, r->data(), n);
    r->remove_prefix(n);
  });
  png_read_png(png, info, 0, nullptr);
  png_charp name;
  int how;
  png_bytep data;
  png_uint_32 n;
  if (png_get_iCCP(png, info, &name, &how, &data, &n)) seen.icc.assign(reinterpret_cast<char*>(data), n);
  if (png_get_eXIf_1(png, info, &n, &data)) seen.exif.assign(reinterpret_cast<char*>(data), n);
  png_textp text;
  int count = 0;
  png_get_text(png, info, &text, &count);
  for (int i = 0; i < count; i++) seen.texts.emplace_back(text[i].key, text[i].text ? text[i].text : "");
  seen.per_metre = png_get_x_pixels_per_meter(png, info);
  png_get_gAMA(png, info, &seen.gamma);
  png_destroy_read_struct(&png, &info, nullptr);
  return seen;
}

struct Extras {
  std::string icc, exif, xmp, parameters;
  int dpi = 0;
};

std::string png_with(const Extras& e, int w, int h, Random& r) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep d, size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(d), n);
      },
      nullptr);
  png_set_IHDR(png, info, png_uint_32(w), png_uint_32(h), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, 0, 0);
  if (!e.icc.empty())
    png_set_iCCP(png, info, "p", 0, reinterpret_cast<png_const_bytep>(e.icc.data()),
                 png_uint_32(e.icc.size()));
  if (!e.exif.empty())
    png_set_eXIf_1(png, info, png_uint_32(e.exif.size()),
                   reinterpret_cast<png_bytep>(const_cast<char*>(e.exif.data())));
  if (e.dpi) {
    auto n = png_uint_32(std::lround(e.dpi / 0.0254));
    png_set_pHYs(png, info, n, n, PNG_RESOLUTION_METER);
  }
  png_set_gAMA(png, info, 0.45455);
  std::vector<png_text> texts;
  auto add = [&](int how, const char* key, const std::string& value) {
    png_text t{};
    t.compression = how, t.key = const_cast<char*>(key), t.text = const_cast<char*>(value.c_str());
    t.lang = t.lang_key = const_cast<char*>("");
    texts.push_back(t);
  };
  const std::string zipped(2000, 'z');
  if (!e.parameters.empty()) add(PNG_TEXT_COMPRESSION_NONE, "parameters", e.parameters);
  if (!e.parameters.empty()) add(PNG_TEXT_COMPRESSION_zTXt, "zipped", zipped);
  if (!e.xmp.empty()) add(PNG_ITXT_COMPRESSION_NONE, "XML:com.adobe.xmp", e.xmp);
  if (!texts.empty()) png_set_text(png, info, texts.data(), int(texts.size()));
  png_write_info(png, info);
  auto rows = random_bytes(r, size_t(w) * h * 3);
  for (int y = 0; y < h; y++) png_write_row(png, rows.data() + size_t(y) * w * 3);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

void upscale(const std::string& in, const std::string& out, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {in, out, "-m", tiny_model()});
  Finished f = run(more);
  INFO(f.err);
  REQUIRE(f.code == 0);
  REQUIRE(f.err.empty());
}

}  // namespace

TEST_CASE("a PNG keeps its profile, EXIF, XMP, resolution and text, and says who made it",
          "[apps][metadata]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Extras e{profile("RGB ", 3000, r), camera_block(true, 1), kXmp, "a cat, steps: 20\nSeed: 1", 300};
  spill(folder / "in.png", png_with(e, 9, 7, r));
  upscale(folder / "in.png", folder / "out.png", {"-s", "3"});
  PngSeen seen = libpng_see(slurp(folder / "out.png"));
  CHECK(seen.icc == e.icc);
  CHECK(exif_text(seen.exif, 0x010f) == "Camera Co");
  CHECK(seen.text("XML:com.adobe.xmp").find("tiff:Orientation=\"1\"") != std::string::npos);
  CHECK(seen.text("parameters") == e.parameters);
  CHECK(seen.text("zipped") == std::string(2000, 'z'));
  CHECK(seen.per_metre == 11811);
  CHECK(seen.gamma == Approx(0.45455));
  CHECK(seen.text("Software") == std::string("upscale ") + ups_version());
  char digest_of_file[65];
  REQUIRE(ups_sha256_file(tiny_model().c_str(), digest_of_file) == UPS_OK);
  CHECK(seen.text("upscale") == std::string("srvgg_x2, scale 3, sha256 ") + digest_of_file);
  REQUIRE(run({"convert", tiny_model(), folder / "m.safetensors", "--name", "tiny"}).code == 0);
  REQUIRE(run({folder / "in.png", folder / "named.png", "-m", folder / "m.safetensors"}).code == 0);
  char digest[65];
  REQUIRE(ups_sha256_file(tiny_model().c_str(), digest) == UPS_OK);
  CHECK(libpng_see(slurp(folder / "named.png")).text("upscale") ==
        std::string("tiny, scale 2, source sha256 ") + digest);

  upscale(folder / "in.png", folder / "dpi.png", {"--dpi", "72"});
  CHECK(libpng_see(slurp(folder / "dpi.png")).per_metre == 2835);
  upscale(folder / "in.png", folder / "icc.png", {"--meta", "icc-only"});
  seen = libpng_see(slurp(folder / "icc.png"));
  CHECK(seen.icc == e.icc);
  CHECK(seen.exif.empty());
  CHECK(seen.texts.empty());
  upscale(folder / "in.png", folder / "strip.png", {"--meta", "strip"});
  seen = libpng_see(slurp(folder / "strip.png"));
  CHECK(seen.icc.empty());
  CHECK(seen.texts.empty());
  CHECK(seen.per_metre == 0);
}

TEST_CASE("a JPEG keeps EXIF, XMP, IPTC, density and a profile of several segments, and stands upright",
          "[apps][metadata]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (bool little : {false, true}) {
    JpegFile f{24, 16};
    f.rows = std::vector<uint8_t>(24 * 16 * 3, 90);
    f.icc = profile("RGB ", 150000, r);
    f.dpi = 240;
    std::string iptc = std::string("Photoshop 3.0\0", 14) + "8BIM keywords";
    f.segments = {{1, kExifHead + camera_block(little, 6)}, {1, kXmpHead + kXmp}, {13, iptc}};
    spill(folder / "in.jpg", libjpeg_bytes(f));
    upscale(folder / "in.jpg", folder / "out.jpg");
    JpegSeen seen = libjpeg_see(slurp(folder / "out.jpg"));
    CHECK(seen.width == 32);  // a quarter turn of 24x16, twice as large
    CHECK(seen.height == 48);
    CHECK(seen.icc == f.icc);
    CHECK(seen.dpi == 240);
    CHECK(seen.segment(kXmpHead).find("tiff:Orientation=\"1\"") != std::string::npos);
    CHECK(seen.segment("Photoshop").size() == iptc.size() - 9);
    std::string exif = seen.segment(kExifHead);
    CHECK(exif_orientation(exif) == 1);
    CHECK(exif_text(exif, 0x010f) == "Camera Co");
    CHECK(exif_text(exif, kExifSoftware) == std::string("upscale ") + ups_version());
    CHECK(exif_text(exif, kExifProcessing).find("srvgg_x2") != std::string::npos);
    double x, y;
    REQUIRE(exif_resolution(exif, x, y));
    CHECK(x == 240);  // what the file said first wins
  }
}

TEST_CASE("between PNG and JPEG goes what both can hold", "[apps][metadata]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  Extras e{profile("RGB ", 70000, r), camera_block(false, 1), kXmp, "p", 300};
  spill(folder / "in.png", png_with(e, 9, 7, r));
  upscale(folder / "in.png", folder / "mid.jpg");
  JpegSeen jpeg = libjpeg_see(slurp(folder / "mid.jpg"));
  CHECK(jpeg.icc == e.icc);
  CHECK(jpeg.dpi == 300);
  CHECK(jpeg.segment(kXmpHead).size() == kXmp.size());
  CHECK(exif_text(jpeg.segment(kExifHead), 0x010f) == "Camera Co");
  upscale(folder / "mid.jpg", folder / "back.png");
  PngSeen png = libpng_see(slurp(folder / "back.png"));
  CHECK(png.icc == e.icc);
  CHECK(png.per_metre == 11811);
  CHECK(exif_text(png.exif, 0x010f) == "Camera Co");
  CHECK(png.text("XML:com.adobe.xmp").size() == kXmp.size());
}

TEST_CASE("comments go from JPEG to JPEG, to PNG and back, byte for byte", "[apps][metadata]") {
  TemporaryFolder folder;
  const std::string utf8 = "gr\xc3\xbc\xc3\x9f", latin = "gr\xfc\xdf", plain = "shot on a rainy day";
  for (const std::string& text : {plain, utf8, latin, std::string(65000, 'c')}) {
    JpegFile f{16, 16};
    f.rows = std::vector<uint8_t>(16 * 16 * 3, 90);
    f.comment = text + '\0';  // some writers end it so
    spill(folder / "in.jpg", libjpeg_bytes(f));
    upscale(folder / "in.jpg", folder / "out.jpg");
    CHECK(libjpeg_see(slurp(folder / "out.jpg")).comments == std::vector{text});
    upscale(folder / "in.jpg", folder / "mid.png");
    CHECK(libpng_see(slurp(folder / "mid.png")).text("Comment") == text);
    upscale(folder / "mid.png", folder / "back.jpg");
    CHECK(libjpeg_see(slurp(folder / "back.jpg")).comments == std::vector{text});
    upscale(folder / "in.jpg", folder / "bare.jpg", {"--meta", "strip"});
    CHECK(libjpeg_see(slurp(folder / "bare.jpg")).comments.empty());
  }
  Image long_one = allocate_image(8, 8, 3, UPS_U8);
  std::fill_n(long_one.pixels.get(), long_one.bytes(), uint8_t(9));
  long_one.meta.chunks.push_back({"tEXt", std::string("Comment\0", 8) + std::string(100000, 'l')});
  OutputFile file(folder / "long.jpg");
  write_image(file, Format::jpeg, std::move(long_one), {});
  const auto pieces = libjpeg_see(slurp(folder / "long.jpg")).comments;
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].size() + pieces[1].size() == 100000);
}

TEST_CASE("gray, progressive, CMYK and YCCK JPEGs are read as the colours they mean", "[apps][jpeg_read]") {
  auto flat = [](std::vector<uint8_t> px) {
    std::vector<uint8_t> rows;
    for (int i = 0; i < 256; i++) rows.insert(rows.end(), px.begin(), px.end());
    return rows;
  };
  JpegFile gray{16, 16, 1, JCS_GRAYSCALE, JCS_GRAYSCALE, false, flat({77})};
  Image g = decode_image(libjpeg_bytes(gray), "g.jpg");
  REQUIRE(g.channels == 1);
  CHECK(std::abs(g.pixels[100] - 77) <= 1);
  JpegFile progressive{16, 16, 3, JCS_RGB, JCS_YCbCr, true, flat({200, 40, 90})};
  Image p = decode_image(libjpeg_bytes(progressive), "p.jpg");
  for (int c = 0; c < 3; c++) CHECK(std::abs(p.pixels[3 * 50 + c] - std::vector<int>{200, 40, 90}[c]) <= 3);
  // Restart markers change nothing but the file.
  UPS_RANDOM(r);
  JpegFile rows{70, 50, 3, JCS_RGB, JCS_YCbCr, false, random_bytes(r, 70 * 50 * 3)}, restarted = rows;
  restarted.restart_rows = 1;
  const Image a = decode_image(libjpeg_bytes(rows), "a.jpg"),
              b = decode_image(libjpeg_bytes(restarted), "b.jpg");
  CHECK(std::equal(a.pixels.get(), a.pixels.get() + a.bytes(), b.pixels.get()));
  // libjpeg writes the Adobe marker with CMYK and YCCK, so the values are inverted ink: R = C K / 255.
  for (J_COLOR_SPACE stored : {JCS_CMYK, JCS_YCCK}) {
    JpegFile ink{16, 16, 4, JCS_CMYK, stored, false, flat({255, 128, 0, 200})};
    Image rgb = decode_image(libjpeg_bytes(ink), "c.jpg");
    REQUIRE(rgb.channels == 3);
    CHECK(std::abs(rgb.pixels[0] - 200) <= 3);
    CHECK(std::abs(rgb.pixels[1] - 100) <= 3);
    CHECK(std::abs(rgb.pixels[2] - 0) <= 3);
  }
}

TEST_CASE("a profile of other colours than the result's is left out", "[apps][metadata]") {
  UPS_RANDOM(r);
  Metadata m;
  m.icc = profile("CMYK", 400, r);
  CHECK(result_metadata(m, MetaPolicy::keep, 0, 4, 4, 3, {}).icc.empty());
  m.icc = profile("GRAY", 400, r);
  CHECK(result_metadata(m, MetaPolicy::keep, 0, 4, 4, 3, {}).icc.empty());
  CHECK(result_metadata(m, MetaPolicy::icc_only, 0, 4, 4, 2, {}).icc == m.icc);
}

TEST_CASE("a resolution goes where only EXIF can hold it", "[apps][metadata]") {
  for (bool with_exif : {false, true}) {
    Metadata source;
    source.dpi_x = source.dpi_y = 300;  // of a PNG's pHYs, say
    if (with_exif) exif_add_text(source.exif, 0x010f, "Camera Co");
    for (Format format : {Format::webp, Format::avif, Format::jxl, Format::tiff, Format::jpeg, Format::bmp}) {
      if (!can_write(format)) continue;
      TemporaryFolder folder;
      Image image = allocate_image(8, 6, 3, UPS_U8);
      std::fill_n(image.pixels.get(), image.bytes(), uint8_t(90));
      image.meta = result_metadata(source, MetaPolicy::keep, 72, 8, 6, 3, {"m", "", 2, 65527});
      OutputFile file(folder / "x");
      write_image(file, format, std::move(image), {});
      const Image back = read_image(folder / "x");
      CHECK(back.meta.dpi_x == Approx(72).epsilon(0.0005));  // a BMP counts whole pixels per metre
      if (format != Format::bmp) CHECK(exif_text(back.meta.exif, 0x010f) == (with_exif ? "Camera Co" : ""));
    }
  }
}

TEST_CASE("a generator's parameters go into the user comment where a format has no texts",
          "[apps][metadata]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (const std::string& exif : {std::string(), camera_block(true, 1), camera_block(false, 1)}) {
    spill(folder / "in.png", png_with({.exif = exif, .parameters = "a cat, steps: 20"}, 9, 7, r));
    upscale(folder / "in.png", folder / "out.jpg");
    const std::string seen = libjpeg_see(slurp(folder / "out.jpg")).segment(kExifHead);
    const ExifDirectories d = exif_directories(seen);
    const auto comment = std::find_if(d.exif.begin(), d.exif.end(), [](auto& f) { return f.tag == 0x9286; });
    REQUIRE(comment != d.exif.end());
    CHECK(comment->value == std::string("ASCII\0\0\0", 8) + "a cat, steps: 20");
    CHECK(d.exif.size() == (exif.empty() ? 1 : 2));  // and the width
    CHECK(exif_text(seen, 0x010f) == (exif.empty() ? "" : "Camera Co"));
  }
  std::string block;
  exif_add_comment(block, "gr\xc3\xbcn \xf0\x9f\x90\x88 \xfc");
  const ExifDirectories d = exif_directories(block);
  REQUIRE(d.exif.size() == 1);
  CHECK(d.exif[0].value == std::string("UNICODE\0\0g\0r\0\xfc\0n\0 \xd8\x3d\xdc\x08\0 \0\xfc", 26));
  exif_add_comment(block, "another");
  CHECK(exif_directories(block).exif[0].count == 26);
}

TEST_CASE("damaged EXIF blocks are carried or ignored, never followed out of bounds", "[apps][exif]") {
  UPS_RANDOM(r);
  for (int k = 0; k < 2000; k++) {
    std::string exif = camera_block(k % 2, r.integer(1, 8));
    for (int flips = r.integer(0, 4); flips > 0; flips--)
      exif[r.integer(0, int(exif.size()) - 1)] = char(r.engine());
    exif.resize(size_t(r.integer(0, int(exif.size()))));
    exif = std::string(exif.data(), exif.size());  // tight, for the address sanitizer
    double x, y;
    exif_resolution(exif, x, y);
    exif_text(exif, 0x010f);
    int o = exif_orientation(exif);
    CHECK((o >= 1 && o <= 8));
    exif_update(exif, 70000, 5, 300, 300);
    exif_add_text(exif, kExifSoftware, "upscale");
  }
  std::string fresh;
  exif_add_text(fresh, kExifSoftware, "upscale");
  exif_add_text(fresh, kExifProcessing, "x");
  CHECK(exif_text(fresh, kExifSoftware) == "upscale");
  CHECK(exif_text(fresh, kExifProcessing) == "x");
}
