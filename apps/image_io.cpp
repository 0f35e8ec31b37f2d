// Chooses the codec, checks sizes, converts what a format cannot hold.
#include "apps/image_io.h"

#include <algorithm>
#include <filesystem>
#include <new>

#include "apps/exif.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr int64_t kMaxPixels = int64_t(1) << 30;
constexpr int64_t kMaxFileBytes = int64_t(8) << 30;

// u16 -> u8, rounding to nearest (v * 255 / 65535).
Image to_8_bit(const Image& in) {
  Image out = allocate_image(in.width, in.height, in.channels, UPS_U8);
  const uint16_t* s = reinterpret_cast<const uint16_t*>(in.pixels.get());
  size_t n = out.bytes();
  for (size_t i = 0; i < n; i++) out.pixels[i] = uint8_t((uint32_t(s[i]) * 255 + 32767) / 65535);
  out.meta = in.meta;
  return out;
}

// Straight alpha over white: v' = v a + 255 (1 - a), u8.
Image flatten_over_white(const Image& in) {
  int c = in.channels - 1;
  Image out = allocate_image(in.width, in.height, c, UPS_U8);
  out.meta = in.meta;
  const uint8_t* s = in.pixels.get();
  uint8_t* d = out.pixels.get();
  for (size_t i = 0, n = size_t(in.width) * in.height; i < n; i++, s += in.channels, d += c) {
    int a = s[c];
    for (int k = 0; k < c; k++) d[k] = uint8_t((s[k] * a + 255 * (255 - a) + 127) / 255);
  }
  return out;
}

}  // namespace

Image allocate_image(int width, int height, int channels, ups_depth depth) {
  Image image{width, height, channels, depth, nullptr};
  try {
    image.pixels = std::make_unique_for_overwrite<uint8_t[]>(image.bytes());
  } catch (const std::bad_alloc&) {
    fail(kMemory, "cannot allocate ", image.bytes() >> 20, " MiB for an image of ", width, "x", height,
         " pixels");
  }
  return image;
}

Format format_of_extension(std::string_view e) {
  if (!e.empty() && e[0] == '.') e.remove_prefix(1);
  std::string s(e);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (s == "png") return Format::png;
  if (s == "jpg" || s == "jpeg" || s == "jpe" || s == "jfif") return Format::jpeg;
  if (s == "bmp" || s == "dib") return Format::bmp;
  if (s == "tga") return Format::tga;
  if (s == "ppm" || s == "pgm" || s == "pnm") return Format::pnm;
  return Format::unknown;
}

Format format_of_path(const std::string& path) {
  return format_of_extension(std::filesystem::path(path).extension().string());
}

bool can_write(Format f) { return f != Format::unknown && f != Format::pnm; }
bool looks_like_image(const std::string& path) { return format_of_path(path) != Format::unknown; }

void check_plausible(int64_t width, int64_t height, size_t file_bytes, int64_t pixels_per_byte,
                     const std::string& name) {
  if (width < 1 || height < 1) fail(kIo, name, ": got an image of ", width, "x", height, " pixels");
  if (width > kMaxPixels / height) {  // no overflow: height >= 1
    fail(kIo, name, ": got ", width, "x", height, " pixels, expected at most ", kMaxPixels);
  }
  if (width * height / pixels_per_byte > int64_t(file_bytes)) {
    fail(kIo, name, ": claims ", width, "x", height, " pixels, which its ", file_bytes,
         " bytes cannot hold (the file is truncated or damaged)");
  }
}

namespace {

Image decode_any(std::string_view b, const std::string& name) {
  if (b.empty()) fail(kIo, name, ": is empty, expected an image");
  auto starts = [&](std::string_view magic) { return b.substr(0, magic.size()) == magic; };
  if (starts("\x89PNG\r\n\x1a\n")) return decode_png(b, name);
  if (starts("\xff\xd8\xff")) return decode_jpeg(b, name);
  if (starts("BM")) return decode_bmp(b, name);
  if (starts("P5") || starts("P6")) return decode_pnm(b, name);
  if (format_of_path(name) == Format::tga) return decode_tga(b, name);
  const char* known = "";
  if (starts("GIF8")) known = " (it is a GIF)";
  if (starts("RIFF") && b.size() > 12 && b.substr(8, 4) == "WEBP") known = " (it is a WebP)";
  if (starts("II*\0") || starts("MM\0*")) known = " (it is a TIFF)";
  if (b.size() > 12 && b.substr(4, 8) == "ftypavif") known = " (it is an AVIF)";
  fail(kIo, name, ": is not a readable image", known, ", expected PNG, JPEG, BMP, TGA, PPM or PGM");
}

}  // namespace

Image decode_image(std::string_view b, const std::string& name) {
  Image image = decode_any(b, name);
  Metadata& m = image.meta;
  if (m.dpi_x <= 0 && !exif_resolution(m.exif, m.dpi_x, m.dpi_y)) m.dpi_x = m.dpi_y = 0;
  return upright(std::move(image), orientation_of(m));
}

Image read_image(const std::string& path) { return decode_image(read_file(path, kMaxFileBytes), path); }

void check_writable(Format format, int width, int height, const std::string& name) {
  // JFIF and TGA store a side in 16 bits; the BMP header counts the file's bytes in 32.
  if ((format == Format::jpeg || format == Format::tga) && std::max(width, height) > 65535) {
    fail(kUsage, name, ": an image of ", width, "x", height,
         " pixels does not fit this format, expected at most 65535 a side (write a .png)");
  }
  if (format == Format::bmp && int64_t(width) * height > (int64_t(1) << 29) - 65536) {
    fail(kUsage, name, ": an image of ", width, "x", height, " pixels does not fit a BMP (write a .png)");
  }
}

ups_depth stored_depth(Format format, ups_depth depth) {
  return format == Format::png && depth != UPS_U8 ? UPS_U16 : UPS_U8;
}

void write_image(OutputFile& file, Format format, const Image& image, const EncodeOptions& options) {
  if (format == Format::png) {
    encode_png(file, image, options.png_level, options.threads);
  } else {
    Image narrow, flat;
    const Image* p = &image;
    if (p->depth == UPS_U16) p = &(narrow = to_8_bit(*p));
    if (format == Format::jpeg && p->channels % 2 == 0) p = &(flat = flatten_over_white(*p));
    if (format == Format::jpeg)
      encode_jpeg(file, *p, options.jpeg_quality);
    else
      encode_with_stb(file, format, *p);
  }
  file.commit();
}

}  // namespace ups::apps
