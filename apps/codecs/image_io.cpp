// Chooses the codec, checks sizes, converts what a format cannot hold.
#include "apps/codecs/image_io.h"

#include <algorithm>
#include <filesystem>
#include <new>

#include "apps/codecs/exif.h"
#include "apps/codecs/pixel_format.h"
#include "apps/codecs/png_strips.h"
#include "apps/failure.h"
#include "apps/machine_room.h"

namespace ups::apps {
namespace {

constexpr int64_t kMaxPixels = int64_t(1) << 30;
constexpr int64_t kMaxFileBytes = int64_t(8) << 30;

}  // namespace

Image allocate_image(int width, int height, int channels, ups_depth depth, int window) {
  Image image{width, height, channels, depth, nullptr};
  image.window = window < height ? window : 0;
  const size_t bytes = image.window ? image.row_bytes() * size_t(window) : image.bytes();
  const int64_t memory = memory_bytes();
  if (memory > 0 && double(bytes) > double(memory)) {  // the system might promise it and then kill us
    fail(kMemory, "an image of ", width, "x", height, " pixels takes ", bytes >> 20,
         " MiB, this machine has ", memory >> 20, " MiB");
  }
  try {
    image.pixels = std::make_unique_for_overwrite<uint8_t[]>(bytes);
  } catch (const std::bad_alloc&) {
    fail(kMemory, "cannot allocate ", bytes >> 20, " MiB for an image of ", width, "x", height, " pixels");
  }
  return image;
}

Format format_of_extension(std::string_view e) {
  if (!e.empty() && e[0] == '.') e.remove_prefix(1);
  std::string s(e);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (s == "png") return Format::png;
  if (s == "jpg" || s == "jpeg" || s == "jpe" || s == "jfif") return Format::jpeg;
  if (s == "webp") return Format::webp;
  if (s == "tif" || s == "tiff") return Format::tiff;
  if (s == "avif") return Format::avif;
  if (s == "jxl") return Format::jxl;
  if (s == "gif") return Format::gif;
  if (s == "pfm") return Format::pfm;
  if (s == "bmp" || s == "dib") return Format::bmp;
  if (s == "tga") return Format::tga;
  if (s == "ppm" || s == "pgm" || s == "pnm") return Format::pnm;
  return Format::unknown;
}

Format format_of_path(const std::string& path) {
  return format_of_extension(std::filesystem::path(path).extension().string());
}

const char* format_name(Format f) {
  switch (f) {
    case Format::png:
      return "PNG";
    case Format::jpeg:
      return "JPEG";
    case Format::webp:
      return "WebP";
    case Format::tiff:
      return "TIFF";
    case Format::avif:
      return "AVIF";
    case Format::jxl:
      return "JPEG XL";
    case Format::bmp:
      return "BMP";
    case Format::tga:
      return "TGA";
    case Format::gif:
      return "GIF";
    case Format::pnm:
      return "PPM or PGM";
    case Format::pfm:
      return "PFM";
    default:
      return "unknown format";
  }
}

bool is_built(Format f) {
#ifndef UPS_WEBP
  if (f == Format::webp) return false;
#endif
#ifndef UPS_AVIF
  if (f == Format::avif) return false;
#endif
#ifndef UPS_JXL
  if (f == Format::jxl) return false;
#endif
#ifndef UPS_TIFF
  if (f == Format::tiff) return false;
#endif
  return f != Format::unknown;
}

bool can_write(Format f) { return is_built(f) && f != Format::gif; }

bool has_alpha(Format f) { return f != Format::jpeg && f != Format::pnm && f != Format::pfm; }

size_t most_exif_bytes(Format f) {
  if (f == Format::jpeg) return 65527;  // a segment without its length and "Exif\0\0"
  const bool any =
      f == Format::png || f == Format::webp || f == Format::tiff || f == Format::avif || f == Format::jxl;
  return any ? UINT32_MAX : 0;
}

std::string writable_extensions() {
  std::string list;
  for (const char* e : {"png", "jpg", "webp", "tif", "avif", "jxl", "bmp", "tga", "ppm", "pgm", "pfm"}) {
    if (can_write(format_of_extension(e))) list += (list.empty() ? "" : ", ") + std::string(e);
  }
  return list;
}

std::string readable_formats() {
  std::string list;
  for (Format f : {Format::png, Format::jpeg, Format::webp, Format::tiff, Format::avif, Format::jxl,
                   Format::bmp, Format::tga, Format::gif}) {
    if (is_built(f)) list += std::string(format_name(f)) + ", ";
  }
  return list + "PBM, PGM, PPM, PAM or PFM";
}

bool can_be_lossless(Format f) { return f != Format::jpeg; }

bool looks_like_image(const std::string& path) {
  std::string e = std::filesystem::path(path).extension().string();
  std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return format_of_extension(e) != Format::unknown || e == ".pbm" || e == ".pam";
}

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

constexpr const char* kVideo = "a video, whose frames ffmpeg takes out (docs/batches.md)";

Image decode_any(std::string_view b, const std::string& name) {
  if (b.empty()) fail(kIo, name, ": is empty, expected an image");
  auto holds = [&](size_t at, std::string_view text) {
    return b.size() >= at && b.substr(at, text.size()) == text;
  };
  auto starts = [&](std::string_view magic) { return holds(0, magic); };
  if (starts("\x89PNG\r\n\x1a\n")) return decode_png(b, name);
  if (starts("\xff\xd8\xff")) return decode_jpeg(b, name);
  if (starts("BM")) return decode_bmp(b, name);
  if (b.size() > 2 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7') return decode_pnm(b, name);
  if (starts("Pf") || starts("PF")) return decode_pfm(b, name);
  if (starts("GIF87a") || starts("GIF89a")) return decode_gif(b, name);
  if (starts("RIFF") && holds(8, "WEBP")) {
#ifdef UPS_WEBP
    return decode_webp(b, name);
#else
    fail(kIo, name, ": is a WebP, which this build cannot read (libwebp was missing when it was built)");
#endif
  }
  if (starts({"II*\0", 4}) || starts({"MM\0*", 4}) || starts({"II+\0", 4}) || starts({"MM\0+", 4})) {
#ifdef UPS_TIFF
    return decode_tiff(b, name);
#else
    fail(kIo, name, ": is a TIFF, which this build cannot read (libtiff was missing when it was built)");
#endif
  }
  if (holds(4, "ftypavif") || holds(4, "ftypavis")) {
#ifdef UPS_AVIF
    return decode_avif(b, name);
#else
    fail(kIo, name, ": is an AVIF, which this build cannot read (libavif was missing when it was built)");
#endif
  }
  if (starts("\xff\x0a") || starts({"\0\0\0\x0cJXL \r\n\x87\n", 12})) {
#ifdef UPS_JXL
    return decode_jxl(b, name);
#else
    fail(kIo, name, ": is a JPEG XL, which this build cannot read (libjxl was missing when it was built)");
#endif
  }
  if (format_of_path(name) == Format::tga) return decode_tga(b, name);
  static const struct {
    size_t at;
    std::string_view magic;
    const char* what;
  } kOthers[] = {
      {4, "ftyphe", "a HEIC"},
      {4, "ftypmif1", "a HEIC"},
      {4, "ftyp", kVideo},
      {0, "\x1a\x45\xdf\xa3", kVideo},
      {8, "AVI ", kVideo},
      {0, "DDS ", "a DDS"},
      {0, "8BPS", "a Photoshop file"},
      {0, "\x76\x2f\x31\x01", "an OpenEXR"},
      {0, "%PDF", "a PDF"},
      {0, "<svg", "an SVG"},
      {0, "<?xml", "XML"},
      {0, "gimp xcf", "a GIMP file"},
  };
  for (const auto& other : kOthers)
    if (holds(other.at, other.magic))
      fail(kIo, name, ": is ", other.what, ", expected one of ", readable_formats());
  fail(kIo, name, ": is not a readable image, expected one of ", readable_formats());
}

}  // namespace

Image decode_image(std::string_view b, const std::string& name) {
  Image image = decode_any(b, name);
  Metadata& m = image.meta;
  if (m.dpi_x <= 0 && !exif_resolution(m.exif, m.dpi_x, m.dpi_y)) m.dpi_x = m.dpi_y = 0;
  return upright(std::move(image), orientation_of(m));
}

Image read_image(const std::string& path) { return decode_image(read_file(path, kMaxFileBytes), path); }

int most_side(Format format) {
  switch (format) {
    case Format::jpeg:
      return 65500;
    case Format::webp:
      return 16383;
    case Format::tga:
      return 65535;
    case Format::avif:
      return 65536;
    default:
      return 1 << 30;
  }
}

void check_writable(Format format, int width, int height, const std::string& name) {
  // libjpeg stops short of the 65535 that JPEG's 16 bits allow; the BMP header counts the file's bytes in 32.
  const int most = most_side(format);
  if (std::max(width, height) > most) {
    fail(kUsage, name, ": an image of ", width, "x", height, " pixels does not fit a ", format_name(format),
         ", expected at most ", most, " a side (write a .png)");
  }
  if (format == Format::bmp && int64_t(width) * height > (int64_t(1) << 29) - 65536) {
    fail(kUsage, name, ": an image of ", width, "x", height, " pixels does not fit a BMP (write a .png)");
  }
}

ups_depth stored_depth(Format format, ups_depth depth) {
  if (format == Format::pfm) return UPS_F32;
  if (format == Format::tiff || format == Format::jxl) return depth;
  if (format == Format::png || format == Format::pnm || format == Format::avif)
    return depth == UPS_U8 ? UPS_U8 : UPS_U16;
  return UPS_U8;
}

int stored_bits(Format format, ups_depth depth) {
  const ups_depth stored = stored_depth(format, depth);
  return stored == UPS_U16 && format == Format::avif ? 12 : 8 * Image::sample_bytes(stored);
}

int tiff_strip_rows(size_t row_bytes, int height) {
  return int(std::clamp<size_t>((256 << 10) / row_bytes, 1, size_t(height)));
}

bool can_stream(Format format) { return format == Format::png || format == Format::tiff; }

int rows_held(Format format, int height, size_t row_bytes, const EncodeOptions& o) {
  constexpr size_t kSmall = 64 << 20;
  if (!can_stream(format) || row_bytes * size_t(height) <= kSmall) return 0;
  // Every PNG thread works on a strip of its own; one more is filled meanwhile.
  const int strip =
      format == Format::png ? png_strip_rows(row_bytes, height) : tiff_strip_rows(row_bytes, height);
  const int64_t rows = int64_t(strip) * (format == Format::png ? encoder_threads(o) + 2 : 3) + 64;
  return rows < height ? int(rows) : 0;
}

void encode_image(OutputFile& file, Format format, Image image, const EncodeOptions& options) {
  image = convert_depth(std::move(image), stored_depth(format, image.depth));
  if (!has_alpha(format)) image = flatten(std::move(image), options.background);
  switch (format) {
    case Format::png:
      encode_png(file, image, options.png_level, options.threads);
      break;
    case Format::jpeg:
      encode_jpeg(file, image, options.quality ? options.quality : 95);
      break;
#ifdef UPS_WEBP
    case Format::webp:
      encode_webp(file, image, options.quality ? options.quality : 90, options.lossless);
      break;
#endif
#ifdef UPS_AVIF
    case Format::avif:
      encode_avif(file, image, options.quality ? options.quality : 80, options.lossless, options.threads);
      break;
#endif
#ifdef UPS_JXL
    case Format::jxl:
      encode_jxl(file, image, options.quality ? options.quality : 90, options.lossless);
      break;
#endif
#ifdef UPS_TIFF
    case Format::tiff:
      encode_tiff(file, image);
      break;
#endif
    case Format::pnm:
      encode_pnm(file, image);
      break;
    case Format::pfm:
      encode_pfm(file, image);
      break;
    case Format::bmp:
    case Format::tga:
      encode_with_stb(file, format, image);
      break;
    default:
      fail(kUsage, file.path(), ": ", format_name(format), " is not written by this build");
  }
}

void write_image(OutputFile& file, Format format, Image image, const EncodeOptions& options) {
  encode_image(file, format, std::move(image), options);
  file.commit();
}

}  // namespace ups::apps
