// The directories of EXIF blocks and TIFF files: copied whole, bounded by the file, never followed in
// circles.
#include "apps/codecs/exif_directories.h"

#include "apps/codecs/exif.h"
#include "apps/codecs/image_io.h"
#include "tests/apps/process.h"
#ifdef UPS_TIFF
#include "tests/apps/tiff_file.h"
#endif

using namespace ups::testing;
using namespace ups::apps;

namespace {

std::string number(bool little, uint64_t v, int bytes) {
  std::string s;
  for (int i = 0; i < bytes; i++) s += char(v >> 8 * (little ? i : bytes - 1 - i));
  return s;
}

// A field of each directory, some with values behind it.
struct Fields {
  std::string lens = std::string("a lens\0", 7), note, latitude;
  ExifDirectories of(bool little) {
    note = std::string(999, 'n');
    latitude = number(little, 48, 4) + number(little, 1, 4) + number(little, 8, 4) + number(little, 1, 4) +
               number(little, 0, 4) + number(little, 1, 4);
    ExifDirectories d;
    d.little = little;
    d.picture = {{0x010f, 2, 7, lens},
                 {0x0112, 3, 1, little ? std::string_view("\6\0", 2) : std::string_view("\0\6", 2)}};
    d.exif = {{0x927c, 7, note.size(), note}, {0xa434, 2, 7, lens}};
    d.gps = {{2, 5, 3, latitude}};
    d.interoperability = {{1, 2, 4, std::string_view("R98\0", 4)}};
    return d;
  }
};

bool same(const std::vector<ExifField>& a, const std::vector<ExifField>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ExifField& x, const ExifField& y) {
    return x.tag == y.tag && x.type == y.type && x.count == y.count && x.value == y.value;
  });
}

bool same(const ExifDirectories& a, const ExifDirectories& b) {
  return a.little == b.little && same(a.picture, b.picture) && same(a.exif, b.exif) && same(a.gps, b.gps) &&
         same(a.interoperability, b.interoperability);
}

}  // namespace

TEST_CASE("EXIF directories survive both byte orders and both widths of offsets", "[apps][exif]") {
  for (bool little : {true, false}) {
    Fields fields;
    const ExifDirectories d = fields.of(little);
    for (bool big : {false, true}) {
      const std::string block = exif_block(d, little, big);
      const ExifDirectories back = exif_directories(block);
      CHECK(back.big == big);
      CHECK(same(back, d));
      const std::string other = exif_block(back, !little, !big);
      CHECK(other.substr(0, 2) == (little ? "MM" : "II"));
      Fields turned;
      CHECK(same(exif_directories(other), turned.of(!little)));
      CHECK(exif_block(exif_directories(other), little, big) == block);
    }
  }
  CHECK(exif_directories("").empty());
  CHECK(exif_block({}, true, false).empty());
}

TEST_CASE("directories that point at themselves or share a large value stay small", "[apps][exif]") {
  // Exif, GPS and interoperability pointers all lead back to the first directory.
  std::string loop = "II*" + std::string(1, '\0') + number(true, 8, 4) + number(true, 4, 2);
  for (uint16_t tag : {0x010f, 0x8769, 0x8825, 0xa005})
    loop += number(true, tag, 2) + number(true, 4, 2) + number(true, 1, 4) + number(true, 8, 4);
  loop += number(true, 0, 4);
  CHECK(exif_block(exif_directories(loop), true, false).size() <= 3 * loop.size());
  // A thousand fields of an Exif directory, each with the whole file as its value.
  std::string shared = "II*" + std::string(1, '\0') + number(true, 8, 4) + number(true, 1, 2) +
                       number(true, 0x8769, 2) + number(true, 4, 2) + number(true, 1, 4) +
                       number(true, 26, 4) + number(true, 0, 4) + number(true, 1000, 2);
  for (int k = 0; k < 1000; k++)
    shared +=
        number(true, uint64_t(1 + k), 2) + number(true, 7, 2) + number(true, 12000, 4) + number(true, 0, 4);
  const ExifDirectories d = exif_directories(shared + std::string(4, '\0'));
  CHECK(d.exif.size() == 1);
  CHECK(exif_block(d, true, false).size() <= 2 * shared.size());
}

TEST_CASE("damaged EXIF directories are copied in part or not at all", "[apps][exif]") {
  UPS_RANDOM(r);
  for (int k = 0; k < 3000; k++) {
    Fields fields;
    std::string block = exif_block(fields.of(k % 2), k % 2, k % 4 > 1);
    for (int flips = r.integer(1, 6); flips > 0; flips--)
      block[size_t(r.integer(0, k % 3 ? 60 : int(block.size()) - 1))] = char(r.engine());
    block.resize(size_t(r.integer(0, int(block.size()))));
    block = std::string(block.data(), block.size());  // tight, for the address sanitizer
    const ExifDirectories d = exif_directories(block);
    const std::string copy = exif_block(d, d.little, k % 5 == 0);
    CHECK(copy.size() <= 3 * block.size() + 200);
    CHECK(exif_block(d, !d.little, k % 5 == 0).size() == copy.size());
    if (!copy.empty()) CHECK(same(exif_directories(copy), d));
  }
}

#ifdef UPS_TIFF
TEST_CASE("a TIFF carries the whole EXIF block, a maker's note at its old place", "[apps][tiff][exif]") {
  UPS_RANDOM(r);
  for (bool little : {true, false}) {
    Fields fields;
    const ExifDirectories d = fields.of(little);
    Image image = allocate_image(9, 7, 3, UPS_U16);
    auto noise = random_bytes(r, image.bytes());
    std::copy(noise.begin(), noise.end(), image.pixels.get());
    image.meta.exif = exif_block(d, little, false);
    const size_t note = image.meta.exif.find(fields.note);
    exif_update(image.meta.exif, 9, 7, 0, 0);  // as result_metadata does
    exif_add_text(image.meta.exif, kExifSoftware, "camera 2, upscale 0: an earlier model");
    exif_add_text(image.meta.exif, kExifProcessing, "upscale 1: a model");
    TemporaryFolder folder;
    OutputFile file(folder / "x.tif");
    write_image(file, Format::tiff, std::move(image), {});
    const std::string bytes = slurp(folder / "x.tif");
    CHECK(bytes.substr(note, fields.note.size()) == fields.note);
    const ExifDirectories back = exif_directories(bytes);
    CHECK(same(back.exif, d.exif));
    CHECK(same(back.gps, d.gps));
    CHECK(same(back.interoperability, d.interoperability));
    const Image read = decode_image(bytes, "x.tif");
    CHECK(std::equal(noise.begin(), noise.end(), read.pixels.get()));
    CHECK(same(exif_directories(read.meta.exif).exif, d.exif));
    CHECK(exif_orientation(read.meta.exif) == 1);
    // What libtiff alone makes of it.
    TIFF* t = TIFFOpen((folder / "x.tif").c_str(), "r");
    uint64_t at = 0;
    REQUIRE(TIFFGetField(t, TIFFTAG_EXIFIFD, &at));
    REQUIRE(TIFFReadEXIFDirectory(t, at));
    char* lens = nullptr;
    REQUIRE(TIFFGetField(t, EXIFTAG_LENSMODEL, &lens));
    CHECK(lens == std::string("a lens"));
    CHECK(exif_text(read.meta.exif, kExifSoftware) == "camera 2, upscale 1: a model");
    TIFFClose(t);
  }
}
#endif
