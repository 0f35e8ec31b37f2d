// Gray or RGB, with or without alpha, of 8 or 16 bits or f32 -> TIFF: strips of about 256 KiB, deflate with
// prediction, 64-bit offsets from 4 GB on. The EXIF block lies at the beginning of the file where its own
// offsets are those of the file, so that even a maker's note that holds some stays readable.
#include <algorithm>
#include <iterator>

#include "apps/cancel.h"
#include "apps/codecs/exif.h"
#include "apps/codecs/exif_directories.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/tiff_memory.h"
#include "apps/failure.h"

namespace ups::apps {

namespace {

// Fields that libtiff does not know by itself.
void add_fields(TIFF* t) {
  auto text = [](const char* name) { return const_cast<char*>(name); };
  const auto bytes = [&](uint32_t tag, TIFFDataType type, const char* name) {
    return TIFFFieldInfo{tag, TIFF_VARIABLE2, TIFF_VARIABLE2, type, FIELD_CUSTOM, 1, 1, text(name)};
  };
  const TIFFFieldInfo fields[] = {{0x4746, 1, 1, TIFF_SHORT, FIELD_CUSTOM, 1, 0, text("Rating")},
                                  {0x4749, 1, 1, TIFF_SHORT, FIELD_CUSTOM, 1, 0, text("RatingPercent")},
                                  bytes(0x9c9b, TIFF_BYTE, "XPTitle"),
                                  bytes(0x9c9c, TIFF_BYTE, "XPComment"),
                                  bytes(0x9c9d, TIFF_BYTE, "XPAuthor"),
                                  bytes(0x9c9e, TIFF_BYTE, "XPKeywords"),
                                  bytes(0x9c9f, TIFF_BYTE, "XPSubject"),
                                  bytes(0xc4a5, TIFF_UNDEFINED, "PrintIM")};
  TIFFMergeFieldInfo(t, fields, uint32_t(std::size(fields)));
}

void set_picture_fields(TIFF* t, const ExifDirectories& d) {
  add_fields(t);
  for (const ExifField& f : d.picture) {
    const TIFFField* known = TIFFFindField(t, f.tag, TIFF_ANY);
    if (!known || TIFFFieldDataType(known) != TIFFDataType(f.type) || f.value.empty()) continue;
    const auto* data = reinterpret_cast<const uint8_t*>(f.value.data());
    if (f.type == TIFF_ASCII) {
      const std::string text(f.value.substr(0, f.value.find('\0')));
      if (!text.empty()) TIFFSetField(t, f.tag, text.c_str());
    } else if (TIFFFieldPassCount(known)) {
      TIFFSetField(t, f.tag, uint32_t(f.count), data);
    } else if (f.type == TIFF_SHORT && f.tag >= 0x4746) {  // ratings; the others are set by what they mean
      TIFFSetField(t, f.tag, d.little ? data[0] | data[1] << 8 : data[0] << 8 | data[1]);
    }
  }
}

// ProcessingSoftware is no tag of TIFF, and readers warn about it.
std::string software(const std::string& exif) {
  std::string original = exif_text(exif, kExifSoftware);
  const std::string last = exif_text(exif, kExifProcessing);
  if (last.empty()) return original;
  original.resize(std::min({original.size(), original.find("upscale "), original.find(", upscale ")}));
  return original.empty() ? last : original + ", " + last;
}

// Before anything else is written.
void put_exif(TIFF* t, TiffMemory& memory, const std::string& exif, const ExifDirectories& d, bool little,
              bool big) {
  if (d.empty()) return;
  const std::string block = d.big == big && d.little == little ? exif : exif_block(d, little, big);
  const uint64_t directory = exif_directory_offset(block, ExifDirectory::exif);
  const uint64_t gps = exif_directory_offset(block, ExifDirectory::gps);
  if (directory || gps) {
    memory.file->write_at(memory.size, block.data() + memory.size, block.size() - memory.size);
    memory.size = block.size() + block.size() % 2;
  }
  if (directory) TIFFSetField(t, TIFFTAG_EXIFIFD, directory);
  if (gps) TIFFSetField(t, TIFFTAG_GPSIFD, gps);
}

}  // namespace

void encode_tiff(OutputFile& file, const Image& image) {
  TiffMemory memory{.in = {}, .file = &file};
  const bool big = image.bytes() > (size_t(3500) << 20);
  const ExifDirectories exif = exif_directories(image.meta.exif);
  // libtiff 4.5 writes floats of the other byte order wrongly when it predicts.
  const bool little = exif.little || image.depth == UPS_F32;
  TiffHandle handle = open_tiff(memory, (std::string("w") + (little ? "l" : "b") + (big ? "8" : "")).c_str());
  TIFF* t = handle.get();
  auto failed = [&] {
    if (memory.error) std::rethrow_exception(memory.error);
    fail(kIo, file.path(), ": TIFF encoding failed (", tiff_message(), ")");
  };
  if (!t) failed();
  int colours = image.channels <= 2 ? 1 : 3;
  uint32_t rows = uint32_t(tiff_strip_rows(image.row_bytes(), image.height));
  TIFFSetField(t, TIFFTAG_IMAGEWIDTH, uint32_t(image.width));
  TIFFSetField(t, TIFFTAG_IMAGELENGTH, uint32_t(image.height));
  TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8 * Image::sample_bytes(image.depth));
  TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, image.channels);
  TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, image.depth == UPS_F32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
  TIFFSetField(t, TIFFTAG_PHOTOMETRIC, colours == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
  TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(t, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  TIFFSetField(t, TIFFTAG_PREDICTOR, image.depth == UPS_F32 ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL);
  TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, rows);
  if (image.channels > colours) {
    uint16_t straight = EXTRASAMPLE_UNASSALPHA;
    TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1, &straight);
  }
  const Metadata& m = image.meta;
  if (!m.icc.empty()) TIFFSetField(t, TIFFTAG_ICCPROFILE, uint32_t(m.icc.size()), m.icc.data());
  if (!m.xmp.empty()) TIFFSetField(t, TIFFTAG_XMLPACKET, uint32_t(m.xmp.size()), m.xmp.data());
  if (m.dpi_x > 0) {
    TIFFSetField(t, TIFFTAG_XRESOLUTION, m.dpi_x);
    TIFFSetField(t, TIFFTAG_YRESOLUTION, m.dpi_y);
    TIFFSetField(t, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
  }
  set_picture_fields(t, exif);
  if (const std::string text = software(m.exif); !text.empty())
    TIFFSetField(t, TIFFTAG_SOFTWARE, text.c_str());
  put_exif(t, memory, m.exif, exif, little, big);

  std::string strip;  // libtiff predicts in place
  for (uint32_t y = 0, k = 0; y < uint32_t(image.height); y += rows, k++) {
    const int end = std::min(image.height, int(y + rows));
    image.pending.wait(end);
    strip.clear();
    for (int at = int(y); at < end; at++)
      strip.append(reinterpret_cast<const char*>(image.row(at)), image.row_bytes());
    image.pending.release(end);
    throw_if_cancelled();
    const size_t n = strip.size();
    if (TIFFWriteEncodedStrip(t, k, strip.data(), tmsize_t(n)) < 0) failed();
  }
  if (!TIFFFlush(t)) failed();
  handle.reset();
  if (memory.error) failed();
}

}  // namespace ups::apps
