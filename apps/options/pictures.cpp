// What the picture is, and what besides the network decides its pixels.
#include "apps/options/registry.h"

namespace ups::apps {

void add_picture_options(OptionTable& table) {
  table.add(
      {.names = "--alpha",
       .argument = "HOW",
       .group = Group::pixels,
       .level = Level::basic,
       .help = "auto (default), model or lanczos compute transparency; drop leaves it out",
       .details =
           "Constant alpha is copied. Otherwise colours are first bled under transparent pixels, so that no "
           "dark fringe arises. model: alpha goes through the network as a gray picture. lanczos: it is "
           "resampled by --filter. auto is model, but lanczos with a network of scale 1. drop: the colours "
           "as they are, or over --background if it is given.",
       .set =
           [](Options& o, const Value& v) {
             o.alpha = v.choice<ups_alpha>({{"auto", UPS_ALPHA_AUTO},
                                            {"model", UPS_ALPHA_MODEL},
                                            {"lanczos", UPS_ALPHA_FILTER},
                                            {"drop", UPS_ALPHA_DROP}});
           },
       .choices = {"auto", "model", "lanczos", "drop"}});
  table.add(
      {.names = "--kind",
       .argument = "K",
       .group = Group::pixels,
       .level = Level::basic,
       .help = "what the numbers are: color (default), data, normal or mask",
       .details =
           "data: channels of measurements, none is alpha; profiles and gamma are not passed on. normal: a "
           "normal map, whose vectors are brought to length 1 again. mask: no new value arises; two gray "
           "values part where the network puts the edge, other masks are repeated pixel by pixel.",
       .set =
           [](Options& o, const Value& v) {
             o.kind = v.choice<ups_kind>({{"color", UPS_KIND_COLOR},
                                          {"data", UPS_KIND_DATA},
                                          {"normal", UPS_KIND_NORMAL},
                                          {"mask", UPS_KIND_MASK}});
           },
       .choices = {"color", "data", "normal", "mask"}});
  table.add({.names = "--wrap",
             .argument = "AXES",
             .group = Group::pixels,
             .level = Level::basic,
             .help = "x, y or xy: the picture is a seamless texture and goes on from its other side",
             .set =
                 [](Options& o, const Value& v) {
                   o.wrap = v.choice<int>(
                       {{"none", 0}, {"x", UPS_WRAP_X}, {"y", UPS_WRAP_Y}, {"xy", UPS_WRAP_X | UPS_WRAP_Y}});
                 },
             .choices = {"none", "x", "y", "xy"}});
  table.add({.names = "--blend",
             .argument = "W",
             .group = Group::pixels,
             .level = Level::advanced,
             .help = "share of the source, resampled, in the result, 0..1 (0)",
             .details = "In a chain of networks, of what the last one is given.",
             .set = [](Options& o, const Value& v) { o.blend = v.number(0, 1); }});
  table.add(
      {.names = "-x,--tta",
       .argument = "N",
       .group = Group::pixels,
       .level = Level::advanced,
       .help = "mean over N = 2, 4 or 8 mirrored and turned forms; bare: 8; N times as slow, gains little",
       .details = "2: mirrored left to right; 4: all flips; 8: transposed as well. Gains about 0.1 dB.",
       .set =
           [](Options& o, const Value& v) {
             o.tta = v.choice<int>({{"1", 1}, {"2", 2}, {"4", 4}, {"8", 8}});
           },
       .choices = {"1", "2", "4", "8"},
       .bare = "8"});
  table.check([](Options& o, const Given& given) {
    if (given("--alpha") && o.kind != UPS_KIND_COLOR)
      fail(kUsage, "--alpha: only colours have alpha, but --kind says otherwise");
  });
}

}  // namespace ups::apps
