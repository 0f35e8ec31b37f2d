// The table of formats: names, extensions, and what each can hold.
#include <algorithm>
#include <filesystem>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

struct Facts {
  Format format;
  const char* name;
  std::vector<std::string> extensions;  // that messages offer
  std::vector<std::string> also;        // that are understood
  ups_depth least, most;                // depths it stores, from ... to
  bool alpha;
  size_t exif_bytes;  // that it takes; 0: it stores none
  int side;           // the longest
};

constexpr size_t kAnyExif = UINT32_MAX;
constexpr int kAnySide = 1 << 30;

// In the order in which they are listed. JPEG: EXIF in a segment without its length and "Exif\0\0"; libjpeg
// stops short of the 65535 of the format.
const std::vector<Facts>& all_facts() {
  static const std::vector<Facts> facts = {
      {Format::png, "PNG", {"png"}, {}, UPS_U8, UPS_U16, true, kAnyExif, kAnySide},
      {Format::jpeg, "JPEG", {"jpg"}, {"jpeg", "jpe", "jfif"}, UPS_U8, UPS_U8, false, 65527, 65500},
      {Format::webp, "WebP", {"webp"}, {}, UPS_U8, UPS_U8, true, kAnyExif, 16383},
      {Format::tiff, "TIFF", {"tif"}, {"tiff"}, UPS_U8, UPS_F32, true, kAnyExif, kAnySide},
      {Format::avif, "AVIF", {"avif"}, {}, UPS_U8, UPS_U16, true, kAnyExif, 65536},
      {Format::jxl, "JPEG XL", {"jxl"}, {}, UPS_U8, UPS_F32, true, kAnyExif, kAnySide},
      {Format::bmp, "BMP", {"bmp"}, {"dib"}, UPS_U8, UPS_U8, true, 0, kAnySide},
      {Format::tga, "TGA", {"tga"}, {}, UPS_U8, UPS_U8, true, 0, 65535},
      {Format::pnm, "PPM or PGM", {"ppm", "pgm"}, {"pnm"}, UPS_U8, UPS_U16, false, 0, kAnySide},
      {Format::pfm, "PFM", {"pfm"}, {}, UPS_F32, UPS_F32, false, 0, kAnySide},
      {Format::gif, "GIF", {"gif"}, {}, UPS_U8, UPS_U8, true, 0, kAnySide},
  };
  return facts;
}

const Facts& facts_of(Format format) {
  static const Facts unknown = {Format::unknown, "unknown format", {""}, {}, UPS_U8, UPS_U8, true, 0,
                                kAnySide};
  for (const Facts& f : all_facts())
    if (f.format == format) return f;
  return unknown;
}

std::string lower_case(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return s;
}

}  // namespace

std::vector<Format> all_formats() {
  std::vector<Format> formats;
  for (const Facts& f : all_facts()) formats.push_back(f.format);
  return formats;
}

Format format_of_extension(std::string_view extension) {
  if (!extension.empty() && extension[0] == '.') extension.remove_prefix(1);
  const std::string e = lower_case(std::string(extension));
  for (const Facts& f : all_facts())
    for (const auto* names : {&f.extensions, &f.also})
      if (std::find(names->begin(), names->end(), e) != names->end()) return f.format;
  return Format::unknown;
}

Format format_of_path(const std::string& path) {
  return format_of_extension(std::filesystem::path(path).extension().string());
}

bool looks_like_image(const std::string& path) {
  const std::string e = lower_case(std::filesystem::path(path).extension().string());
  return format_of_extension(e) != Format::unknown || e == ".pbm" || e == ".pam";
}

const char* format_name(Format f) { return facts_of(f).name; }
std::string format_extension(Format f) { return facts_of(f).extensions.at(0); }

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
bool has_alpha(Format f) { return facts_of(f).alpha; }
size_t most_exif_bytes(Format f) { return facts_of(f).exif_bytes; }
int most_side(Format f) { return facts_of(f).side; }
bool can_be_lossless(Format f) { return f != Format::jpeg; }
bool can_stream(Format f) { return f == Format::png || f == Format::tiff; }

std::string writable_extensions() {
  std::string list;
  for (const Facts& f : all_facts())
    if (can_write(f.format))
      for (const std::string& e : f.extensions) list += (list.empty() ? "" : ", ") + e;
  return list;
}

std::string readable_formats() {
  std::string list;
  for (const Facts& f : all_facts())
    if (is_built(f.format) && f.format != Format::pnm && f.format != Format::pfm)
      list += std::string(f.name) + ", ";
  return list + "PBM, PGM, PPM, PAM or PFM";
}

void check_writable(Format format, int width, int height, const std::string& name) {
  if (const int most = most_side(format); std::max(width, height) > most) {
    fail(kUsage, name, ": an image of ", width, "x", height, " pixels does not fit a ", format_name(format),
         ", expected at most ", most, " a side (write a .png)");
  }
  // Its header counts the file's bytes in 32 bits.
  if (format == Format::bmp && int64_t(width) * height > (int64_t(1) << 29) - 65536) {
    fail(kUsage, name, ": an image of ", width, "x", height, " pixels does not fit a BMP (write a .png)");
  }
}

ups_depth stored_depth(Format format, ups_depth depth) {
  return std::clamp(depth, facts_of(format).least, facts_of(format).most);
}

int stored_bits(Format format, ups_depth depth) {
  const ups_depth stored = stored_depth(format, depth);
  return stored == UPS_U16 && format == Format::avif ? 12 : 8 * Image::sample_bytes(stored);
}

}  // namespace ups::apps
