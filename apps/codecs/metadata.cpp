// Policies: keep, strip, icc-only; our own lines; what becomes untrue when pixels change.
#include "apps/codecs/metadata.h"

#include <algorithm>
#include <cstdio>

#include "apps/codecs/exif.h"
#include "apps/codecs/png_chunks.h"
#include "upscale.h"

namespace ups::apps {
namespace {

// The data colour space of an ICC profile (ICC.1, 7.2.6) against the number of channels.
bool profile_fits(const std::string& icc, int channels) {
  if (icc.size() < 128) return false;
  std::string space = icc.substr(16, 4);
  return space == (channels <= 2 ? "GRAY" : "RGB ");
}

// Sets tiff:Orientation, as an attribute or an element, to 1.
void reset_xmp_orientation(std::string& xmp) {
  const std::string key = "tiff:Orientation";
  for (size_t at = xmp.find(key); at != std::string::npos; at = xmp.find(key, at + 1)) {
    size_t v = at + key.size();
    while (v < xmp.size() &&
           (xmp[v] == ' ' || xmp[v] == '=' || xmp[v] == '"' || xmp[v] == '\'' || xmp[v] == '>'))
      v++;
    if (v > at + key.size() && v < xmp.size() && xmp[v] >= '1' && xmp[v] <= '8') xmp[v] = '1';
  }
}

}  // namespace

void drop_colour_space(Metadata& m) {
  m.icc.clear();
  std::erase_if(m.chunks, [](const Metadata::Chunk& c) { return c.type.find("Xt") == std::string::npos; });
}

int orientation_of(const Metadata& m) { return exif_orientation(m.exif); }

Metadata result_metadata(const Metadata& source, MetaPolicy policy, double dpi, int width, int height,
                         int channels, const Provenance& made_by) {
  Metadata m;
  if (policy == MetaPolicy::keep) m = source;
  if (policy == MetaPolicy::icc_only) m.icc = source.icc;
  if (!m.icc.empty() && !profile_fits(m.icc, channels)) m.icc.clear();
  if (dpi > 0) m.dpi_x = m.dpi_y = dpi;
  if (policy != MetaPolicy::keep) {
    // Without gamma and primaries colours would change; they say nothing about anybody.
    for (const auto& c : source.chunks) {
      if (policy == MetaPolicy::icc_only && c.type.find("Xt") == std::string::npos) m.chunks.push_back(c);
    }
    return m;
  }
  exif_update(m.exif, width, height, m.dpi_x, m.dpi_y);
  reset_xmp_orientation(m.xmp);
  if (!made_by.model.empty()) {
    const std::string software = std::string("upscale ") + ups_version();
    char scale[32];
    snprintf(scale, sizeof scale, "%.6g", made_by.scale);
    std::string what = made_by.model + ", scale " + scale;
    if (!made_by.digest.empty()) what += ", " + made_by.digest;
    for (auto& c : {text_chunk("Software", software), text_chunk("upscale", what)}) {
      bool there = std::any_of(m.chunks.begin(), m.chunks.end(), [&](const Metadata::Chunk& k) {
        return k.type == c.type && k.data == c.data;
      });
      if (!there) m.chunks.push_back(c);
    }
    const auto add = [&](auto&& field) {  // where there is room: one byte too many would cost the whole block
      std::string longer = m.exif;
      field(longer);
      if (longer.size() <= made_by.most_exif) m.exif = std::move(longer);
    };
    add([&](std::string& exif) { exif_add_text(exif, kExifProcessing, software + ": " + what, true); });
    add([&](std::string& exif) { exif_add_text(exif, kExifSoftware, software); });
    if (m.dpi_x > 0) add([&](std::string& exif) { exif_add_resolution(exif, m.dpi_x, m.dpi_y); });
    if (const auto texts = texts_of(m, "parameters"); !texts.empty())
      add([&](std::string& exif) { exif_add_comment(exif, texts[0]); });
  }
  return m;
}

}  // namespace ups::apps
