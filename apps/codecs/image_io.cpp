// Chooses the codec, checks sizes, converts what a format cannot hold.
#include "apps/codecs/image_io.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "apps/codecs/exif.h"
#include "apps/codecs/pixel_format.h"
#include "apps/codecs/png_strips.h"
#include "apps/failure.h"
#include "apps/machine.h"

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

Image copy_of(const ups_image& in) {
  Image out = allocate_image(in.width, in.height, in.channels, in.depth);
  for (int y = 0; y < in.height; y++)
    memcpy(out.row(y), static_cast<const char*>(in.data) + in.stride_bytes * y, out.row_bytes());
  return out;
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

// By its signature; of files without one the name decides.
Format format_of_content(std::string_view b, const std::string& name) {
  auto holds = [&](size_t at, std::string_view text) {
    return b.size() >= at && b.substr(at, text.size()) == text;
  };
  auto starts = [&](std::string_view magic) { return holds(0, magic); };
  if (starts("\x89PNG\r\n\x1a\n")) return Format::png;
  if (starts("\xff\xd8\xff")) return Format::jpeg;
  if (starts("BM")) return Format::bmp;
  if (b.size() > 2 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7') return Format::pnm;
  if (starts("Pf") || starts("PF")) return Format::pfm;
  if (starts("GIF87a") || starts("GIF89a")) return Format::gif;
  if (starts("RIFF") && holds(8, "WEBP")) return Format::webp;
  if (starts({"II*\0", 4}) || starts({"MM\0*", 4}) || starts({"II+\0", 4}) || starts({"MM\0+", 4}))
    return Format::tiff;
  if (holds(4, "ftypavif") || holds(4, "ftypavis")) return Format::avif;
  if (starts("\xff\x0a") || starts({"\0\0\0\x0cJXL \r\n\x87\n", 12})) return Format::jxl;
  if (format_of_path(name) == Format::tga) return Format::tga;  // has no signature
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

Image decode_any(std::string_view b, const std::string& name) {
  if (b.empty()) fail(kIo, name, ": is empty, expected an image");
  const Format format = format_of_content(b, name);
  switch (format) {
    case Format::png:
      return decode_png(b, name);
    case Format::jpeg:
      return decode_jpeg(b, name);
    case Format::bmp:
      return decode_bmp(b, name);
    case Format::pnm:
      return decode_pnm(b, name);
    case Format::pfm:
      return decode_pfm(b, name);
    case Format::gif:
      return decode_gif(b, name);
    case Format::tga:
      return decode_tga(b, name);
#ifdef UPS_WEBP
    case Format::webp:
      return decode_webp(b, name);
#endif
#ifdef UPS_TIFF
    case Format::tiff:
      return decode_tiff(b, name);
#endif
#ifdef UPS_AVIF
    case Format::avif:
      return decode_avif(b, name);
#endif
#ifdef UPS_JXL
    case Format::jxl:
      return decode_jxl(b, name);
#endif
    default:
      fail(kIo, name, ": the format is ", format_name(format),
           ", which this build cannot read (its library was missing when it was built)");
  }
}

}  // namespace

Image decode_image(std::string_view b, const std::string& name) {
  Image image = decode_any(b, name);
  Metadata& m = image.meta;
  if (m.dpi_x <= 0 && !exif_resolution(m.exif, m.dpi_x, m.dpi_y)) m.dpi_x = m.dpi_y = 0;
  return upright(std::move(image), orientation_of(m));
}

Image read_image(const std::string& path) { return decode_image(read_file(path, kMaxFileBytes), path); }

int tiff_strip_rows(size_t row_bytes, int height) {
  return int(std::clamp<size_t>((256 << 10) / row_bytes, 1, size_t(height)));
}

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
