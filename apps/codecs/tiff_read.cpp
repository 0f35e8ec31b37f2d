// TIFF -> gray or RGB, with or without alpha, of 8 or 16 bits or f32, through libtiff: strips and tiles,
// chunky and planar. Everything else (palette, CMYK, YCbCr, Lab, fewer bits) goes through libtiff's own
// conversion to RGBA of 8 bits. The first page only.
#include <cmath>
#include <cstring>

#include "apps/codecs/exif.h"
#include "apps/codecs/exif_directories.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/tiff_memory.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

struct Layout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, planar = PLANARCONFIG_CONTIG;
  uint16_t photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE, orientation = 1;
  uint16_t extra = 0, alpha_kind = EXTRASAMPLE_UNSPECIFIED;
  bool tiled = false;
};

Layout layout_of(TIFF* t) {
  Layout l;
  TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &l.width);
  TIFFGetField(t, TIFFTAG_IMAGELENGTH, &l.height);
  TIFFGetFieldDefaulted(t, TIFFTAG_BITSPERSAMPLE, &l.bits);
  TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &l.samples);
  TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLEFORMAT, &l.format);
  TIFFGetFieldDefaulted(t, TIFFTAG_PLANARCONFIG, &l.planar);
  TIFFGetFieldDefaulted(t, TIFFTAG_COMPRESSION, &l.compression);
  TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &l.orientation);
  TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &l.photometric);
  uint16_t* kinds = nullptr;
  if (TIFFGetField(t, TIFFTAG_EXTRASAMPLES, &l.extra, &kinds) && l.extra > 0) l.alpha_kind = kinds[0];
  l.tiled = TIFFIsTiled(t);
  return l;
}

// Whether the samples can be taken as they are.
bool is_plain(const Layout& l) {
  bool sample = (l.format == SAMPLEFORMAT_UINT && (l.bits == 8 || l.bits == 16)) ||
                (l.format == SAMPLEFORMAT_IEEEFP && l.bits == 32);
  bool gray = l.photometric == PHOTOMETRIC_MINISBLACK || l.photometric == PHOTOMETRIC_MINISWHITE;
  int colours = gray ? 1 : 3;
  return sample && (gray || l.photometric == PHOTOMETRIC_RGB) && l.samples >= colours && l.samples <= 16;
}

// Copies `samples` of each pixel of a decoded strip or tile, [rows, stride_px, stored], into the image, whose
// pixels have `channels` of which the first to fill is `first`.
struct Block {
  const uint8_t* data;
  uint32_t x, y, width, height, stride_px;
  int stored, first, count;
};
void place(Image& image, const Block& b) {
  size_t sample = size_t(Image::sample_bytes(image.depth)), px = size_t(image.channels) * sample;
  for (uint32_t y = 0; y < b.height; y++) {
    const uint8_t* s = b.data + size_t(y) * b.stride_px * size_t(b.stored) * sample;
    uint8_t* d = image.row(int(b.y + y)) + b.x * px + size_t(b.first) * sample;
    for (uint32_t x = 0; x < b.width; x++, s += size_t(b.stored) * sample, d += px) {
      memcpy(d, s, size_t(b.count) * sample);
    }
  }
}

// False when libtiff cannot decode it.
bool read_plain(TIFF* t, const Layout& l, Image& image) {
  bool separate = l.planar == PLANARCONFIG_SEPARATE;
  int planes = separate ? image.channels : 1, stored = separate ? 1 : l.samples;
  uint32_t bw = l.width, bh = l.height;
  if (l.tiled) {
    TIFFGetField(t, TIFFTAG_TILEWIDTH, &bw);
    TIFFGetField(t, TIFFTAG_TILELENGTH, &bh);
  } else {
    TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &bh);
    bh = std::min(bh, l.height);
  }
  if (bw == 0 || bh == 0) return false;
  size_t block_bytes = size_t(l.tiled ? TIFFTileSize(t) : TIFFStripSize(t));
  size_t needed = size_t(bw) * bh * size_t(stored) * Image::sample_bytes(image.depth);
  if (block_bytes != needed) return false;
  // Memory that only becomes real where libtiff writes: a few bytes may claim a block of the picture's size.
  Image buffer = allocate_image(int(bw), int(bh), stored, image.depth);
  for (int plane = 0; plane < planes; plane++) {
    for (uint32_t y = 0; y < l.height; y += bh) {
      for (uint32_t x = 0; x < l.width; x += bw) {
        uint32_t rows = std::min(bh, l.height - y);
        tmsize_t want = l.tiled ? tmsize_t(block_bytes) : tmsize_t(block_bytes / bh * rows);
        tmsize_t got = l.tiled ? TIFFReadTile(t, buffer.pixels.get(), x, y, 0, uint16_t(plane))
                               : TIFFReadEncodedStrip(t, TIFFComputeStrip(t, y, uint16_t(plane)),
                                                      buffer.pixels.get(), want);
        if (got < want) return false;
        place(image, {buffer.pixels.get(), x, y, std::min(bw, l.width - x), rows, bw, stored, plane,
                      separate ? 1 : image.channels});
      }
    }
  }
  return true;
}

template <class T>
void straighten(T* p, size_t pixels, int channels, double full) {
  for (size_t i = 0; i < pixels; i++, p += channels) {
    double a = double(p[channels - 1]);
    for (int c = 0; c + 1 < channels; c++) {
      double v = a > 0 ? double(p[c]) * full / a : 0;
      p[c] = full == 1 ? T(v) : T(std::min(v, full) + 0.5);
    }
  }
}

// Premultiplied -> straight alpha.
void straighten(Image& image) {
  size_t n = size_t(image.width) * image.height;
  uint8_t* p = image.pixels.get();
  if (image.depth == UPS_U8) straighten(p, n, image.channels, 255);
  if (image.depth == UPS_U16) straighten(reinterpret_cast<uint16_t*>(p), n, image.channels, 65535);
  if (image.depth == UPS_F32) straighten(reinterpret_cast<float*>(p), n, image.channels, 1);
}

// Integer gray where 0 is white.
void invert_gray(Image& image) {
  size_t n = size_t(image.width) * image.height;
  for (size_t i = 0; i < n; i++) {
    size_t k = i * size_t(image.channels);
    if (image.depth == UPS_U8) image.pixels[k] ^= 0xff;
    if (image.depth == UPS_U16) reinterpret_cast<uint16_t*>(image.pixels.get())[k] ^= 0xffff;
    if (image.depth == UPS_F32) {
      float& v = reinterpret_cast<float*>(image.pixels.get())[k];
      v = 1 - v;
    }
  }
}

Image read_as_rgba(TIFF* t, const Layout& l, const std::string& name) {
  char why[1024] = "";
  if (!TIFFRGBAImageOK(t, why)) fail(kIo, name, ": is a TIFF of a kind that cannot be read (", why, ")");
  Image rgba = allocate_image(int(l.width), int(l.height), 4, UPS_U8);
  uint32_t* const raster = reinterpret_cast<uint32_t*>(rgba.pixels.get());
  TIFFSetField(t, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);  // turned later, with the others
  if (!TIFFReadRGBAImageOriented(t, l.width, l.height, raster, ORIENTATION_TOPLEFT, 1)) {
    fail(kIo, name, ": is a damaged or truncated TIFF (", tiff_message(), ")");
  }
  bool alpha = l.alpha_kind == EXTRASAMPLE_ASSOCALPHA || l.alpha_kind == EXTRASAMPLE_UNASSALPHA;
  rgba.channels = alpha ? 4 : 3;
  uint8_t* d = rgba.pixels.get();
  for (size_t i = 0, n = size_t(l.width) * l.height; i < n; i++) {  // in place: no pixel gets longer
    const uint32_t v = raster[i];
    *d++ = uint8_t(TIFFGetR(v)), *d++ = uint8_t(TIFFGetG(v)), *d++ = uint8_t(TIFFGetB(v));
    if (alpha) *d++ = uint8_t(TIFFGetA(v));
  }
  if (alpha) straighten(rgba);  // libtiff multiplies
  return rgba;
}

Metadata metadata_of(TIFF* t, std::string_view file) {
  Metadata m;
  uint32_t n = 0;
  void* data = nullptr;
  if (TIFFGetField(t, TIFFTAG_ICCPROFILE, &n, &data) && data) m.icc.assign(static_cast<char*>(data), n);
  if (TIFFGetField(t, TIFFTAG_XMLPACKET, &n, &data) && data) m.xmp.assign(static_cast<char*>(data), n);
  float x = 0, y = 0;
  uint16_t unit = RESUNIT_INCH;
  TIFFGetFieldDefaulted(t, TIFFTAG_RESOLUTIONUNIT, &unit);
  if (TIFFGetField(t, TIFFTAG_XRESOLUTION, &x) && TIFFGetField(t, TIFFTAG_YRESOLUTION, &y) && x > 0 &&
      y > 0 && std::isfinite(x) && std::isfinite(y) && unit != RESUNIT_NONE) {
    double factor = unit == RESUNIT_CENTIMETER ? 2.54 : 1;
    m.dpi_x = factor * x, m.dpi_y = factor * y;
  }
  const ExifDirectories exif = exif_directories(file);
  m.exif = exif_block(exif, exif.little, false);
  return m;
}

// How many pixels a byte of the file can stand for.
int64_t pixels_per_byte(uint16_t compression) {
  switch (compression) {
    case COMPRESSION_NONE:
      return 8;
    case COMPRESSION_PACKBITS:
      return 64 * 8;
    default:  // deflate 1032:1 of single bits; fax codes and LZW of blank pages reach the same order
      return 1032 * 64;
  }
}

}  // namespace

Image decode_tiff(std::string_view bytes, const std::string& name) {
  TiffMemory memory{.in = bytes};
  TiffHandle t = open_tiff(memory, "r");
  if (!t || !tiff_message().empty())
    fail(kIo, name, ": is a damaged or truncated TIFF (", tiff_message(), ")");
  Layout l = layout_of(t.get());
  check_plausible(l.width, l.height, bytes.size(), pixels_per_byte(l.compression), name);
  // A strip or tile is decoded as a whole, so its size must be in proportion to the picture.
  double block = double(l.tiled ? TIFFTileSize64(t.get()) : TIFFStripSize64(t.get()));
  if (!(block > 0) || block > 64e6 + 4.0 * l.width * l.height * 16) {
    fail(kIo, name, ": is a damaged TIFF (strips or tiles of ", block, " bytes)");
  }
  Metadata meta = metadata_of(t.get(), bytes);
  Image image;
  if (is_plain(l)) {
    bool gray = l.photometric != PHOTOMETRIC_RGB;
    bool alpha = l.extra > 0 && l.samples == (gray ? 1 : 3) + l.extra &&
                 (l.alpha_kind == EXTRASAMPLE_ASSOCALPHA || l.alpha_kind == EXTRASAMPLE_UNASSALPHA);
    ups_depth depth = l.bits == 8 ? UPS_U8 : l.bits == 16 ? UPS_U16 : UPS_F32;
    image = allocate_image(int(l.width), int(l.height), (gray ? 1 : 3) + alpha, depth);
    if (!read_plain(t.get(), l, image)) {
      fail(kIo, name, ": is a damaged or truncated TIFF (", tiff_message(), ")");
    }
    if (depth == UPS_F32) {
      float* p = reinterpret_cast<float*>(image.pixels.get());
      for (size_t i = 0, n = image.bytes() / 4; i < n; i++) p[i] = std::isfinite(p[i]) ? p[i] : 0;
    }
    if (l.photometric == PHOTOMETRIC_MINISWHITE) invert_gray(image);
    if (alpha && l.alpha_kind == EXTRASAMPLE_ASSOCALPHA) straighten(image);
  } else {
    image = read_as_rgba(t.get(), l, name);
  }
  image.meta = std::move(meta);
  if (TIFFReadDirectory(t.get())) image.notes = "only the first page of this TIFF is read";
  image = upright(std::move(image), l.orientation);
  exif_update(image.meta.exif, image.width, image.height, 0, 0);
  return image;
}

}  // namespace ups::apps
