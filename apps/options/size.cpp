// --scale, --width, --size, --fit and their kin: which go together, and what they mean.
#include <cmath>

#include "apps/options/registry.h"

namespace ups::apps {
namespace {

constexpr long kMostSide = 1 << 20;

Colour colour_of(const std::string& text) {
  static const std::map<std::string, std::string> names = {
      {"black", "000000"}, {"white", "ffffff"}, {"gray", "808080"}, {"grey", "808080"},
      {"red", "ff0000"},   {"green", "008000"}, {"blue", "0000ff"}};
  auto it = names.find(text);
  std::string hex = it != names.end() ? it->second : text;
  if (!hex.empty() && hex[0] == '#') hex.erase(0, 1);
  if (hex.size() == 3) hex = {hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]};
  if (hex.size() != 6 || hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) {
    fail(kUsage, "--background: got '", text, "', expected #rrggbb, black, white, gray, red, green or blue");
  }
  unsigned long v = std::strtoul(hex.c_str(), nullptr, 16);
  return {float(v >> 16) / 255, float(v >> 8 & 255) / 255, float(v & 255) / 255};
}

void set_scale(Options& o, const Value& v) {
  char* end = nullptr;
  std::string text = v.text;
  if (!text.empty() && (text.back() == 'x' || text.back() == 'X')) text.pop_back();
  o.scale = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !std::isfinite(o.scale) || o.scale <= 0 || o.scale > 1000) {
    fail(kUsage, "--scale: got '", v.text, "', expected a factor above 0 and up to 1000, e.g. 4 or 2.5");
  }
  o.size.scale = o.scale;
}

void set_size(Options& o, const Value& v) {
  size_t x = v.text.find_first_of("xX");
  if (x == v.text.npos || v.text.size() == 1) {
    fail(kUsage, v.option, ": got '", v.text,
         "', expected WxH such as 1920x1080, or 1920x or x1080 for one side");
  }
  const std::string width = v.text.substr(0, x), height = v.text.substr(x + 1);
  o.size.width = width.empty() ? 0 : int(v.with(width).integer(1, kMostSide));
  o.size.height = height.empty() ? 0 : int(v.with(height).integer(1, kMostSide));
}

// upscayl's -r: stb's names of filters, the aspect not kept.
void set_upscayl_size(Options& o, const Value& v) {
  size_t colon = std::min(v.text.find(':'), v.text.size());
  if (v.text.find_first_of("0123456789") == v.text.npos)
    fail(kUsage, "-r: got '", v.text,
         "', expected WxH, as with upscayl (folders with their sub-folders: -R)");
  set_size(o, v.with(v.text.substr(0, colon)));
  o.size.fit = Fit::fill;
  if (colon == v.text.size()) return;
  o.filter = v.with(v.text.substr(colon + 1))
                 .choice<ups_filter>({{"default", UPS_FILTER_BICUBIC},
                                      {"box", UPS_FILTER_BOX},
                                      {"triangle", UPS_FILTER_BILINEAR},
                                      {"catmullrom", UPS_FILTER_BICUBIC},
                                      {"mitchell", UPS_FILTER_MITCHELL},
                                      {"pointsample", UPS_FILTER_NEAREST}});
}

void set_gravity(Options& o, const Value& v) {
  using P = std::pair<double, double>;
  Value spelled = v;  // northwest, as others write it
  if (const std::string half = v.text.substr(0, 5);
      v.text.size() == 9 && v.text[5] != '-' && (half == "north" || half == "south"))
    spelled.text.insert(5, "-");
  auto [x, y] = spelled.choice<P>({{"center", P{.5, .5}},
                                   {"north", P{.5, 0}},
                                   {"south", P{.5, 1}},
                                   {"west", P{0, .5}},
                                   {"east", P{1, .5}},
                                   {"north-west", P{0, 0}},
                                   {"north-east", P{1, 0}},
                                   {"south-west", P{0, 1}},
                                   {"south-east", P{1, 1}}});
  o.size.gravity_x = x, o.size.gravity_y = y;
}

// An option that is one side, in pixels or, for print, as 30cm, 300mm or 12in, which --dpi makes pixels.
void add_side(OptionTable& table, const char* names, Level level, const char* help, int SizeRequest::*side,
              const char* details = "") {
  table.add({.names = names,
             .argument = "N",
             .group = Group::size,
             .level = level,
             .help = help,
             .details = details,
             .set = [side](Options& o, const Value& v) {
               for (auto [unit, per_inch] : {std::pair{"cm", 2.54}, {"mm", 25.4}, {"in", 1.0}}) {
                 const size_t n = v.text.size();
                 if (n < 3 || v.text.compare(n - 2, 2, unit) != 0) continue;
                 o.printed.push_back({side, v.with(v.text.substr(0, n - 2)).number(0.01, 1e5) / per_inch});
                 return;
               }
               o.size.*side = int(v.integer(1, kMostSide));
             }});
}

void print_to_pixels(Options& o, const Given& given) {
  for (const auto& [side, inches] : o.printed) {
    if (!given("--dpi"))
      fail(kUsage, "a length in print needs --dpi, how many pixels an inch has, e.g. --dpi 300");
    const double pixels = std::round(inches * o.dpi);
    if (!(pixels >= 1 && pixels <= kMostSide))
      fail(kUsage, "a length in print: got ", pixels, " pixels, expected 1 to ", kMostSide);
    o.size.*side = int(pixels);
  }
}

void check_sizes(Options& o, const Given& given) {
  print_to_pixels(o, given);
  if (given("-r") && (given("--size") || given("--width") || given("--height") || given("--fit")))
    fail(kUsage, "-r contradicts --size, --width, --height and --fit");
  if (given("--size") && (given("--width") || given("--height")))
    fail(kUsage, "--size contradicts --width and --height");
  // Each of these decides the size alone.
  std::string decided;
  for (auto [name, there] : {std::pair{"--scale", given("--scale")},
                             {"a width or height", o.size.width || o.size.height},
                             {"--long-side", given("--long-side")},
                             {"--short-side", given("--short-side")},
                             {"--megapixels", given("--megapixels")}}) {
    if (!there) continue;
    if (!decided.empty()) fail(kUsage, decided, " and ", name, " contradict each other: each says how large");
    decided = name;
  }
  if (o.size.max_side && o.size.multiple_of > o.size.max_side)
    fail(kUsage, "--multiple-of ", o.size.multiple_of, " contradicts --max-side ", o.size.max_side);
  // Two sides of their own are both exact; --size is met as --fit says.
  if (given("--width") && given("--height") && !given("--size") && !given("--fit")) o.size.fit = Fit::fill;
  if (given("--fit") && (!o.size.width || !o.size.height))
    fail(kUsage, "--fit: needs both sides (use --size WxH)");
  if (given("--gravity") && o.size.fit != Fit::cover && o.size.fit != Fit::contain)
    fail(kUsage, "--gravity: nothing is cropped or padded (use --fit cover or --fit contain)");
}

}  // namespace

void add_size_options(OptionTable& table) {
  table.add(
      {.names = "-s,--scale,--outscale,--factor",
       .argument = "F",
       .group = Group::size,
       .level = Level::basic,
       .help = "total factor, fractions allowed; default: the model's own",
       .details =
           "How much larger the result is, whatever the network's own factor: the network runs as often "
           "as it must, and one resampling meets the size exactly.",
       .set = set_scale,
       .choices = {"2", "3", "4", "8"}});
  add_side(table, "-w,--width", Level::basic, "exact width; the height keeps the aspect unless given too",
           &SizeRequest::width,
           "This and the other sides are pixels or, with --dpi, lengths in print: --width 30cm --dpi 300 "
           "(cm, mm or in).");
  add_side(table, "--height", Level::basic, "exact height; the width keeps the aspect unless given too",
           &SizeRequest::height);
  table.add({.names = "--size",
             .argument = "WxH",
             .group = Group::size,
             .level = Level::basic,
             .help = "both sides, met as --fit says; Wx or xH: that side, the other keeps the aspect",
             .set = set_size});
  table.add({.names = "--fit",
             .argument = "MODE",
             .group = Group::size,
             .level = Level::basic,
             .help = "how another aspect meets --size: inside (default), outside, fill, cover or contain",
             .details =
                 "inside: the largest that fits. outside: the "
                 "smallest that covers. fill: stretched. cover: cropped to WxH. contain: padded to WxH.",
             .set =
                 [](Options& o, const Value& v) {
                   o.size.fit = v.choice<Fit>({{"inside", Fit::inside},
                                               {"outside", Fit::outside},
                                               {"fill", Fit::fill},
                                               {"cover", Fit::cover},
                                               {"contain", Fit::contain}});
                 },
             .choices = {"inside", "outside", "fill", "cover", "contain"}});
  table.add({.names = "--gravity",
             .argument = "WHERE",
             .group = Group::size,
             .level = Level::advanced,
             .help = "what cover keeps and where contain puts the picture, e.g. north-east",
             .set = set_gravity,
             .choices = {"center", "north", "south", "west", "east", "north-west", "north-east", "south-west",
                         "south-east"}});
  table.add(
      {.names = "--background",
       .argument = "C",
       .group = Group::size,
       .level = Level::advanced,
       .help = "colour of padding and below lost transparency: #rrggbb or a name",
       .details =
           "Names are black, white, gray, red, green and blue. The default is transparent padding, black "
           "where there is no alpha, and white below transparency that a format cannot store.",
       .set = [](Options& o, const Value& v) { o.encode.background = *(o.background = colour_of(v.text)); },
       .choices = {"black", "white", "gray", "red", "green", "blue"}});
  table.add({.names = "-r",
             .argument = "WxH[:FILTER]",
             .group = Group::size,
             .level = Level::unlisted,
             .help = "upscayl's exact size, stretched",
             .set = set_upscayl_size});
  add_side(table, "--long-side", Level::advanced, "the longer side, for pictures of any orientation",
           &SizeRequest::long_side);
  add_side(table, "--short-side", Level::advanced, "the shorter side", &SizeRequest::short_side);
  table.add({.names = "--megapixels",
             .argument = "F",
             .group = Group::size,
             .level = Level::advanced,
             .help = "width times height, in millions",
             .set = [](Options& o, const Value& v) { o.size.megapixels = v.number(1e-4, 1e5); }});
  add_side(table, "--max-side", Level::advanced, "a limit on the longer side, whatever else decides the size",
           &SizeRequest::max_side);
  add_side(table, "--multiple-of", Level::advanced,
           "round both sides to a multiple; stretches by less than N pixels", &SizeRequest::multiple_of);
  table.check(check_sizes);
}

}  // namespace ups::apps
