// What pictures carry, made by hand: EXIF directories cut short, units, PNG chunks that are damaged or
// exclude each other, density and turning.
#include <zlib.h>

#include <algorithm>
#include <array>

#include "apps/codecs/exif.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/metadata.h"
#include "apps/codecs/png_chunks.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

std::string le16(uint32_t v) { return {char(v), char(v >> 8)}; }
std::string le32(uint32_t v) { return le16(v & 0xffff) + le16(v >> 16); }
std::string be32(uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }

// Little-endian: a directory at 8 of entries {tag, type, value} of count 1, then `tail` at 14 + 12 n.
std::string exif_block(const std::vector<std::array<uint32_t, 3>>& entries, const std::string& tail = "") {
  std::string out = std::string("II*\0", 4) + le32(8) + le16(uint32_t(entries.size()));
  for (const auto& [tag, type, value] : entries) out += le16(tag) + le16(type) + le32(1) + le32(value);
  return out + le32(0) + tail;
}
// Both resolutions v / 1, and their unit.
std::string with_resolution(uint32_t v, uint32_t unit) {
  return exif_block({{0x011a, 5, 50}, {0x011b, 5, 50}, {0x0128, 3, unit}}, le32(v) + le32(1));
}

std::string png_of(const std::vector<Metadata::Chunk>& chunks) {
  std::string out = "\x89PNG\r\n\x1a\n";
  for (const auto& c : chunks) {
    const std::string body = c.type + c.data;
    out += be32(uint32_t(c.data.size())) + body +
           be32(uint32_t(crc32(0, reinterpret_cast<const Bytef*>(body.data()), uInt(body.size()))));
  }
  return out;
}

}  // namespace

TEST_CASE("EXIF fields that reach beyond their block are not read", "[apps][exif]") {
  const std::string upright = exif_block({{0x0112, 3, 6}});
  REQUIRE(exif_orientation(upright) == 6);
  CHECK(exif_orientation(std::string_view(upright).substr(0, 22)) ==
        6);  // the directory, without the next one's place
  CHECK(exif_orientation(std::string_view(upright).substr(0, 21)) == 1);
  const std::string whole = with_resolution(300, 2);
  double x = 0, y = 0;
  REQUIRE(exif_resolution(whole, x, y));
  CHECK_FALSE(exif_resolution(std::string_view(whole).substr(0, whole.size() - 4), x, y));
}

TEST_CASE("EXIF resolutions have units, which a new resolution replaces", "[apps][exif]") {
  double x = 0, y = 0;
  REQUIRE(exif_resolution(with_resolution(118, 2), x, y));
  CHECK(x == 118);
  REQUIRE(exif_resolution(with_resolution(118, 3), x, y));
  CHECK(x == Approx(299.72));
  CHECK_FALSE(exif_resolution(with_resolution(118, 1), x, y));
  std::string block = with_resolution(118, 3);
  exif_update(block, 10, 20, 300, 300);
  REQUIRE(exif_resolution(block, x, y));
  CHECK(x == 300);
}

TEST_CASE("an EXIF block is told the new sides, and fields are added at even places", "[apps][exif]") {
  // The first directory points to the Exif directory, which lies behind it.
  std::string block = exif_block({{0x8769, 4, 26}});
  block += le16(2) + le16(0xa002) + le16(4) + le32(1) + le32(1) + le16(0xa003) + le16(4) + le32(1) + le32(1);
  exif_update(block, 70000, 5, 0, 0);
  CHECK(block.substr(26 + 2 + 8, 4) == le32(70000));
  CHECK(block.substr(26 + 2 + 12 + 8, 4) == le32(5));
  for (const char* more : {"", "x"}) {
    std::string odd = exif_block({{0x0112, 3, 1}}, more);
    exif_add_text(odd, kExifSoftware, "upscale");
    CHECK(uint8_t(odd[4]) % 2 == 0);
    CHECK(exif_text(odd, kExifSoftware) == "upscale");
  }
}

TEST_CASE("PNG chunks that are damaged or end too early are left out", "[apps][png]") {
  const Metadata::Chunk text = text_chunk("Title", "a cat");
  std::string png = png_of({text, {"IEND", ""}});
  CHECK(texts_of(png_metadata(png), "Title") == std::vector<std::string>{"a cat"});
  png[8 + 8 + 8] ^= 1;  // its checksum is wrong now
  CHECK(png_metadata(png).chunks.empty());
  for (const char* profile : {"", "p", "name of a profile"})
    CHECK(png_metadata(png_of({{"iCCP", std::string(profile) + '\0'}, text})).icc == "");
}

TEST_CASE("PNG chunks that exclude each other are not written together", "[apps][png]") {
  Metadata m;
  m.chunks = {{"sRGB", std::string(1, '\0')}, {"pHYs", be32(2) + be32(1) + std::string(1, '\0')}};
  const auto count = [&](const std::string& type) {
    const auto chunks = png_chunks_of(m);
    return std::count_if(chunks.begin(), chunks.end(), [&](const auto& c) { return c.type == type; });
  };
  CHECK(count("sRGB") == 1);
  CHECK(count("pHYs") == 1);
  m.icc = "profile", m.dpi_x = m.dpi_y = 300;
  CHECK(count("sRGB") == 0);
  CHECK(count("iCCP") == 1);
  CHECK(count("pHYs") == 1);
}

TEST_CASE("a picture enlarged again names its maker once", "[apps][metadata]") {
  const Provenance maker{.model = "net", .digest = "", .scale = 2};
  const Metadata once = result_metadata({}, MetaPolicy::keep, 0, 2, 2, 3, maker);
  const Metadata twice = result_metadata(once, MetaPolicy::keep, 0, 4, 4, 3, maker);
  CHECK(twice.chunks.size() == once.chunks.size());
}

TEST_CASE("what is added to EXIF never costs the block of a JPEG", "[apps][metadata]") {
  UPS_RANDOM(r);
  const Provenance maker{
      .model = "net", .digest = "", .scale = 2, .most_exif = most_exif_bytes(Format::jpeg)};
  Metadata source;
  source.chunks = {{"tEXt", std::string("parameters\0", 11) + std::string(70000, 'p')}};
  exif_add_text(source.exif, 0x010f, "Camera Co");
  Metadata m = result_metadata(source, MetaPolicy::keep, 0, 2, 2, 3, maker);
  CHECK(m.exif.size() < 1000);
  CHECK(exif_text(m.exif, 0x010f) == "Camera Co");
  CHECK(exif_text(m.exif, kExifProcessing).find("net, scale 2") != std::string::npos);
  for (int i = 0; i < 20; i++) {  // a block that has almost no room, or none
    source.exif.clear();
    const size_t bytes = size_t(r.integer(65200, 65460));
    exif_add_text(source.exif, 0x010f, std::string(bytes, 'c'));
    REQUIRE(source.exif.size() <= maker.most_exif);
    m = result_metadata(source, MetaPolicy::keep, 0, 2, 2, 3, maker);
    CHECK(exif_text(m.exif, 0x010f).size() == bytes);
    CHECK(m.exif.size() <= maker.most_exif);
  }
}

TEST_CASE("density is read in its unit and turns with the picture", "[apps][metadata]") {
  const TemporaryFolder folder;
  OutputFile file(folder / "a.jpg");
  write_image(file, Format::jpeg, allocate_image(8, 8, 3, UPS_U8), {});
  std::string jpeg = slurp(folder / "a.jpg");
  const size_t unit = jpeg.find("JFIF") + 7;
  jpeg[unit] = 2, jpeg[unit + 1] = jpeg[unit + 3] = 0, jpeg[unit + 2] = 118,
  jpeg[unit + 4] = 59;  // a centimetre
  Image image = decode_image(jpeg, "a.jpg");
  CHECK(image.meta.dpi_x == Approx(299.72));
  CHECK(image.meta.dpi_y == Approx(149.86));
  const Image turned = upright(std::move(image), 6);
  CHECK(turned.meta.dpi_x == Approx(149.86));
}
