// --width, --height, --size, --fit and their kin: which go together, and what they mean.
#include "apps/size_options.h"

#include <CLI/CLI.hpp>

#include "apps/option_values.h"

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

}  // namespace

void SizeArguments::declare(CLI::App& app) {
  app.add_option("--width", width_);
  app.add_option("--height", height_);
  app.add_option("--size", size_);
  app.add_option("--fit", fit_);
  app.add_option("--gravity", gravity_);
  app.add_option("--background", background_);
  app.add_option("--long-side", long_side_);
  app.add_option("--short-side", short_side_);
  app.add_option("--max-side", max_side_);
  app.add_option("--megapixels", megapixels_);
  app.add_option("--multiple-of", multiple_of_);
}

void SizeArguments::apply(Options& o) const {
  SizeRequest& r = o.size;
  r.scale = o.scale;
  auto read = [](const char* name, const std::string& text, int& side) {
    if (!text.empty()) side = int(integer(name, text, 1, kMostSide));
  };
  read("--width", width_, r.width);
  read("--height", height_, r.height);
  read("--long-side", long_side_, r.long_side);
  read("--short-side", short_side_, r.short_side);
  read("--max-side", max_side_, r.max_side);
  read("--multiple-of", multiple_of_, r.multiple_of);
  if (!megapixels_.empty()) r.megapixels = number("--megapixels", megapixels_, 1e-4, 1e5);
  if (!size_.empty()) {
    size_t x = size_.find_first_of("xX");
    if (x == size_.npos) fail(kUsage, "--size: got '", size_, "', expected WxH such as 1920x1080");
    if (r.width || r.height) fail(kUsage, "--size contradicts --width and --height");
    r.width = int(integer("--size", size_.substr(0, x), 1, kMostSide));
    r.height = int(integer("--size", size_.substr(x + 1), 1, kMostSide));
  }
  // Each of these decides the size alone.
  std::string decided;
  for (auto [name, given] : {std::pair{"--scale", r.scale > 0},
                             {"a width or height", r.width || r.height},
                             {"--long-side", r.long_side > 0},
                             {"--short-side", r.short_side > 0},
                             {"--megapixels", r.megapixels > 0}}) {
    if (!given) continue;
    if (!decided.empty()) fail(kUsage, decided, " and ", name, " contradict each other: each says how large");
    decided = name;
  }
  if (!fit_.empty()) {
    r.fit = choice<Fit>("--fit", fit_,
                        {{"inside", Fit::inside},
                         {"outside", Fit::outside},
                         {"fill", Fit::fill},
                         {"cover", Fit::cover},
                         {"contain", Fit::contain}});
    if (!r.width || !r.height) fail(kUsage, "--fit: needs both sides (use --size WxH)");
  }
  if (!gravity_.empty()) {
    using P = std::pair<double, double>;
    auto [x, y] = choice<P>("--gravity", gravity_,
                            {{"center", P{.5, .5}},
                             {"north", P{.5, 0}},
                             {"south", P{.5, 1}},
                             {"west", P{0, .5}},
                             {"east", P{1, .5}},
                             {"north-west", P{0, 0}},
                             {"north-east", P{1, 0}},
                             {"south-west", P{0, 1}},
                             {"south-east", P{1, 1}}});
    r.gravity_x = x, r.gravity_y = y;
    if (r.fit != Fit::cover && r.fit != Fit::contain) {
      fail(kUsage, "--gravity: nothing is cropped or padded (use --fit cover or --fit contain)");
    }
  }
  if (!background_.empty()) o.encode.background = *(o.background = colour_of(background_));
}

}  // namespace ups::apps
