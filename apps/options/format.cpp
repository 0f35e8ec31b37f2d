// What the written files hold: quality, depth, metadata.
#include <algorithm>

#include "apps/options/registry.h"

namespace ups::apps {

void add_format_options(OptionTable& table) {
  table.add({.names = "-q,--quality",
             .argument = "N",
             .group = Group::format,
             .level = Level::basic,
             .help = "1..100 of JPEG (95), WebP and JPEG XL (90) and AVIF (80)",
             .set = [](Options& o, const Value& v) { o.encode.quality = int(v.integer(1, 100)); }});
  table.add({.names = "-c",
             .argument = "N",
             .group = Group::format,
             .level = Level::unlisted,
             .help = "upscayl's compression, 0..100: a quality of 100 - N",
             .set = [](Options& o, const Value& v) {
               o.encode.quality = std::max(1, 100 - int(v.integer(0, 100)));
             }});
  table.add({.names = "--lossless",
             .argument = "",
             .group = Group::format,
             .level = Level::basic,
             .help = "WebP, AVIF and JPEG XL without loss",
             .set = [](Options& o, const Value&) { o.encode.lossless = true; }});
  table.add({.names = "--depth",
             .argument = "D",
             .group = Group::format,
             .level = Level::basic,
             .help = "8, 12 (AVIF), 16 (PNG, TIFF, JXL, PPM) or 32f (TIFF, JXL, PFM); default: the input's "
                     "or the nearest that fits",
             .set =
                 [](Options& o, const Value& v) {
                   o.depth_12 = v.text == "12";
                   o.depth = v.choice<ups_depth>(
                       {{"8", UPS_U8}, {"12", UPS_U16}, {"16", UPS_U16}, {"32f", UPS_F32}});
                 },
             .choices = {"8", "12", "16", "32f"}});
  table.add({.names = "--png-level",
             .argument = "N",
             .group = Group::format,
             .level = Level::advanced,
             .help = "0 (stored) to 12 (smallest), default 1",
             .details = "Level 4 is 1 to 5 % smaller than 1 and takes twice the time.",
             .set = [](Options& o, const Value& v) { o.encode.png_level = int(v.integer(0, 12)); }});
  table.add(
      {.names = "--meta",
       .argument = "WHAT",
       .group = Group::format,
       .level = Level::advanced,
       .help = "profile, EXIF, XMP and text: keep (default), strip or icc-only",
       .details = "With keep the result also says what made it: program, model, its SHA-256 and the scale.",
       .set =
           [](Options& o, const Value& v) {
             o.meta = v.choice<MetaPolicy>({{"keep", MetaPolicy::keep},
                                            {"strip", MetaPolicy::strip},
                                            {"icc-only", MetaPolicy::icc_only}});
           },
       .choices = {"keep", "strip", "icc-only"}});
  table.check([](Options&, const Given& given) {
    if (given("-c") && given("--quality")) fail(kUsage, "-c and --quality contradict each other");
  });
  table.add({.names = "--dpi",
             .argument = "N",
             .group = Group::format,
             .level = Level::basic,
             .help = "resolution to note in the file; default: as the source says",
             .set = [](Options& o, const Value& v) { o.dpi = v.number(1, 65535); }});
}

}  // namespace ups::apps
