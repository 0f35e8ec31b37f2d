// Gray or RGB, with or without alpha, of 8 or 16 bits or f32 -> TIFF: strips of about 256 KiB, deflate with
// prediction, 64-bit offsets from 4 GB on.
#include <algorithm>

#include "apps/cancel.h"
#include "apps/exif.h"
#include "apps/failure.h"
#include "apps/image_io.h"
#include "apps/tiff_memory.h"

namespace ups::apps {

void encode_tiff(OutputFile& file, const Image& image) {
  TiffMemory memory{.in = {}, .file = &file};
  TiffHandle handle = open_tiff(memory, image.bytes() > (size_t(3500) << 20) ? "w8" : "w");
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
  for (uint16_t tag : kTiffTexts) {
    std::string text = exif_text(m.exif, tag);
    if (!text.empty()) TIFFSetField(t, tag, text.c_str());
  }
  if (!m.description.empty()) TIFFSetField(t, TIFFTAG_SOFTWARE, m.description.c_str());

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
