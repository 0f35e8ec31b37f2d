// Image files in and out. Reads PNG, JPEG, WebP, TIFF, AVIF, JPEG XL, BMP, TGA, GIF, PBM, PGM, PPM, PAM and
// PFM; writes all but GIF, PBM and PAM. Formats are recognised by content on the way in (TGA, which has no
// signature, by its extension) and by extension on the way out. WebP, TIFF, AVIF and JPEG XL may be left out
// of a build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/codecs/metadata.h"
#include "apps/codecs/rows_ready.h"
#include "apps/output_file.h"
#include "upscale.h"

namespace ups::apps {

// Interleaved pixels without padding between rows, [height, width, channels], of u8, native-endian
// u16 or f32.
struct Image {
  int width = 0, height = 0, channels = 0;
  ups_depth depth = UPS_U8;
  std::unique_ptr<uint8_t[]> pixels;
  int window = 0;       // rows in memory, used in turn; 0: all
  RowsPending pending;  // empty, or what tells which rows are there already
  Metadata meta;
  std::string notes;  // a sentence for the user about what was left out, or ""

  static int sample_bytes(ups_depth d) { return d == UPS_U8 ? 1 : d == UPS_U16 ? 2 : 4; }
  size_t row_bytes() const { return size_t(width) * channels * sample_bytes(depth); }
  size_t bytes() const { return row_bytes() * height; }
  uint8_t* row(int y) { return pixels.get() + row_bytes() * (window ? y % window : y); }
  const uint8_t* row(int y) const { return pixels.get() + row_bytes() * (window ? y % window : y); }
  ups_image view() const { return {pixels.get(), width, height, channels, depth, ptrdiff_t(row_bytes())}; }
};

// Uninitialised pixels, of `window` rows if that is set. Throws Failure(kMemory).
Image allocate_image(int width, int height, int channels, ups_depth depth, int window = 0);

// A copy with its rows packed, without metadata. Throws Failure(kMemory).
Image copy_of(const ups_image& in);

// r, g, b in 0..1.
struct Colour {
  float r = 0, g = 0, b = 0;
};

// format_table.cpp has what is known of each.
enum class Format { unknown, png, jpeg, webp, tiff, avif, jxl, bmp, tga, gif, pnm, pfm };
std::vector<Format> all_formats();                       // in the order in which they are listed
Format format_of_extension(std::string_view extension);  // without or with the dot, any case
Format format_of_path(const std::string& path);
const char* format_name(Format format);
std::string format_extension(Format format);     // the usual one, without the dot
bool is_built(Format format);                    // whether this build has its codec
bool can_write(Format format);                   // and is built
bool has_alpha(Format format);                   // whether it stores transparency
size_t most_exif_bytes(Format format);           // 0: it stores none
bool can_be_lossless(Format format);             // at all, or with EncodeOptions::lossless
std::string writable_extensions();               // "png, jpg, ..." of this build
std::string readable_formats();                  // "PNG, JPEG, ..." of this build
bool looks_like_image(const std::string& path);  // by its extension

struct EncodeOptions {
  int png_level = 1;              // 0 stored .. 12 smallest; 4 is 1 to 5 % smaller than 1 at twice the time
  int quality = 0;                // 1..100 of the lossy formats; 0: JPEG 95, WebP and JPEG XL 90, AVIF 80
  int threads = 0;                // 0: all cores
  bool lossless = false;          // WebP, AVIF, JPEG XL
  Colour background = {1, 1, 1};  // below transparency, where a format has none
};

int encoder_threads(const EncodeOptions& options);

// Throws Failure(kIo) with one sentence for anything that is not a complete, plausible image. Pixels stand
// upright, whatever the orientation noted in the file.
Image read_image(const std::string& path);
Image decode_image(std::string_view bytes, const std::string& name);

int most_side(Format format);  // the longest side it can hold, in pixels
// What a format can hold: throws Failure(kUsage) if an image of this size does not fit.
void check_writable(Format format, int width, int height, const std::string& name);
// The depth `format` stores for an image of this depth.
ups_depth stored_depth(Format format, ups_depth depth);
int stored_bits(Format format, ups_depth depth);  // 12 in an AVIF for 16 in memory

// Whether an image of these rows can be encoded while they are computed, as it is; and how many of them must
// be held for that (0: all; small images are held as a whole, so that nobody has to wait).
bool can_stream(Format format);
int rows_held(Format format, int height, size_t row_bytes, const EncodeOptions& options);
// About what encoding takes beside the pixels.
int64_t encoder_bytes(Format format, int width, int height, int channels, ups_depth depth,
                      const EncodeOptions& options);

// Writes, after conversion to what the format holds; write_image also commits.
void encode_image(OutputFile& file, Format format, Image image, const EncodeOptions& options);
void write_image(OutputFile& file, Format format, Image image, const EncodeOptions& options);

// One per codec. `name` goes into messages.
Image decode_png(std::string_view bytes, const std::string& name);
Image decode_jpeg(std::string_view bytes, const std::string& name);
Image decode_bmp(std::string_view bytes, const std::string& name);
Image decode_tga(std::string_view bytes, const std::string& name);
Image decode_gif(std::string_view bytes, const std::string& name);
Image decode_pnm(std::string_view bytes, const std::string& name);
Image decode_pfm(std::string_view bytes, const std::string& name);
Image decode_webp(std::string_view bytes, const std::string& name);
Image decode_avif(std::string_view bytes, const std::string& name);
Image decode_jxl(std::string_view bytes, const std::string& name);
Image decode_tiff(std::string_view bytes, const std::string& name);
void encode_png(OutputFile& file, const Image& image, int level, int threads);
void encode_jpeg(OutputFile& file, const Image& image, int quality);
int tiff_strip_rows(size_t row_bytes, int height);  // that are compressed together
void encode_webp(OutputFile& file, const Image& image, int quality, bool lossless);
void encode_avif(OutputFile& file, const Image& image, int quality, bool lossless, int threads);
void encode_jxl(OutputFile& file, const Image& image, int quality, bool lossless);
void encode_tiff(OutputFile& file, const Image& image);
void encode_pnm(OutputFile& file, const Image& image);
void encode_pfm(OutputFile& file, const Image& image);
void encode_with_stb(OutputFile& file, Format format, const Image& image);

// Turns the pixels as an EXIF orientation (1..8) asks.
Image upright(Image image, int orientation);

// Formats that may say "all of it is one colour" in a few bytes are held to this many pixels a byte: a file
// of 4 KB can ask for no more than any.
inline constexpr int64_t kMostPixelsPerByte = int64_t(1) << 18;

// Refuses sizes that are absurd or that `file_bytes` of a format holding at most `pixels_per_byte` cannot
// contain. Throws Failure(kIo).
void check_plausible(int64_t width, int64_t height, size_t file_bytes, int64_t pixels_per_byte,
                     const std::string& name);

}  // namespace ups::apps
