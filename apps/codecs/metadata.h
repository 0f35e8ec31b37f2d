// What a picture carries beside its pixels, and what of it is written with the result.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

struct Metadata {
  // A PNG chunk that is copied as it is: tEXt, zTXt, iTXt, gAMA, cHRM, sRGB, cICP. The comments of a JPEG are
  // texts with the keyword "Comment".
  struct Chunk {
    std::string type, data;
  };
  std::string icc;              // ICC profile
  std::string exif;             // TIFF structure, without JPEG's "Exif\0\0"
  std::string xmp;              // XMP packet
  std::string iptc;             // Photoshop image resources (JPEG APP13, with its signature)
  double dpi_x = 0, dpi_y = 0;  // 0: unknown
  std::vector<Chunk> chunks;
};

enum class MetaPolicy { keep, strip, icc_only };

// Whom to name as the maker. Empty model: nobody.
struct Provenance {
  std::string model, digest;  // digest: "sha256 ..." of its weights, or ""
  double scale = 0;
  size_t most_exif = 0;  // bytes of EXIF that the format takes, if it has no text fields of its own; else 0
};

// The metadata of a result of width x height x channels made from a picture that carried `source`. dpi > 0
// replaces the resolution. Profiles of another number of colours are dropped.
Metadata result_metadata(const Metadata& source, MetaPolicy policy, double dpi, int width, int height,
                         int channels, const Provenance& made_by);

// For pixels that are no colours: nothing may convert them.
void drop_colour_space(Metadata& metadata);

// 1..8: how the stored pixels must be turned; from EXIF.
int orientation_of(const Metadata& metadata);

}  // namespace ups::apps
