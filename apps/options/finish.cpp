// Between the network and the file: crop, sharpen, adjust, dither, and all of it from a recipe.
#include <cmath>
#include <sstream>

#include "apps/options/registry.h"

namespace ups::apps {
namespace {

Rectangle rectangle_of(const Value& v) {
  Rectangle r;
  char end = 0;
  if (sscanf(v.text.c_str(), "%9dx%9d+%9d+%9d%c", &r.width, &r.height, &r.x, &r.y, &end) != 4 ||
      r.width < 1 || r.height < 1 || r.x < 0 || r.y < 0) {
    fail(kUsage, "--crop: got '", v.text, "', expected WxH+X+Y such as 800x600+10+20");
  }
  return r;
}

// "1.5" or "1.5,x1=2,m2=3": the first number goes to *first, the others by name.
void numbers_of(const Value& v, double* first, const std::map<std::string, double*>& named) {
  std::istringstream parts(v.text);
  std::string part;
  for (int i = 0; std::getline(parts, part, ','); i++) {
    const size_t equals = part.find('=');
    double* to = i == 0 ? first : nullptr;
    if (equals != part.npos) {
      auto it = named.find(part.substr(0, equals));
      to = it == named.end() ? nullptr : it->second;
    }
    if (!to) {
      std::string names;
      for (const auto& [name, value] : named) names += (names.empty() ? "" : ", ") + name;
      fail(kUsage, v.option, ": got '", v.text, "', expected a number, then NAME=NUMBER of ", names);
    }
    *to = v.with(equals == part.npos ? part : part.substr(equals + 1)).number(0, 1e6);
  }
  if (!(*first >= 0.01 && *first <= 20)) {
    fail(kUsage, v.option, ": got '", v.text, "', expected a sigma from 0.01 to 20 pixels");
  }
}

void set_sharpen(Options& o, const Value& v) {
  ups_finish& f = o.finish.values;
  f.sharpen = UPS_SHARPEN_LAB;
  f.sigma = 0, f.x1 = 2, f.y2 = 10, f.y3 = 20, f.m1 = 0, f.m2 = 3;  // libvips'
  numbers_of(
      v, &f.sigma,
      {{"sigma", &f.sigma}, {"x1", &f.x1}, {"y2", &f.y2}, {"y3", &f.y3}, {"m1", &f.m1}, {"m2", &f.m2}});
}

void set_unsharp(Options& o, const Value& v) {
  ups_finish& f = o.finish.values;
  f.sharpen = UPS_SHARPEN_UNSHARP;
  f.sigma = 0, f.amount = 1, f.threshold = 0;
  numbers_of(v, &f.sigma, {{"sigma", &f.sigma}, {"amount", &f.amount}, {"threshold", &f.threshold}});
}

void add_factor(OptionTable& table, const char* name, const char* help, float ups_finish::*factor) {
  table.add({.names = name,
             .argument = "F",
             .group = Group::finish,
             .level = Level::advanced,
             .help = help,
             .set = [factor](Options& o, const Value& v) {
               o.finish.values.*factor = unless_zero(v.number(0, 100));
             }});
}

}  // namespace

void add_finish_options(OptionTable& table) {
  table.add({.names = "--crop",
             .argument = "WxH+X+Y",
             .group = Group::finish,
             .level = Level::basic,
             .help = "cut this rectangle out of the enlarged picture",
             .details = "After --size and --fit, before sharpening. The order of everything is in "
                        "docs/pipeline.md, whatever the order of the options.",
             .set = [](Options& o, const Value& v) { o.finish.crop = rectangle_of(v); }});
  table.add({.names = "--sharpen",
             .argument = "SIGMA",
             .group = Group::finish,
             .level = Level::basic,
             .help = "sharpen the lightness as libvips does, 0.01..20 pixels; 0.5 is mild",
             .details =
                 "Also with its other numbers, as in 0.5,x1=2,y2=10,y3=20,m1=0,m2=3 (the defaults): slope "
                 "m1 below a difference of x1, m2 beyond, at most y2 brighter and y3 darker.",
             .set = set_sharpen});
  table.add({.names = "--unsharp",
             .argument = "SIGMA",
             .group = Group::finish,
             .level = Level::advanced,
             .help = "plain unsharp mask on each colour; SIGMA,amount=1,threshold=0",
             .set = set_unsharp});
  add_factor(table, "--brightness", "multiply the colours, 1 changes nothing", &ups_finish::brightness);
  add_factor(table, "--contrast", "stretch the colours around middle gray, 1 changes nothing",
             &ups_finish::contrast);
  add_factor(table, "--saturation", "move the colours away from gray, 0 is gray, 1 changes nothing",
             &ups_finish::saturation);
  table.add({.names = "--dither",
             .argument = "HOW",
             .group = Group::finish,
             .level = Level::advanced,
             .help = "round to integers without bands: ordered or floyd-steinberg (bare)",
             .set =
                 [](Options& o, const Value& v) {
                   o.finish.values.dither =
                       v.choice<ups_dither>({{"none", UPS_DITHER_NONE},
                                             {"ordered", UPS_DITHER_ORDERED},
                                             {"floyd-steinberg", UPS_DITHER_FLOYD_STEINBERG}});
                 },
             .choices = {"none", "ordered", "floyd-steinberg"},
             .bare = "floyd-steinberg"});
  table.add({.names = "--recipe",
             .argument = "FILE",
             .group = Group::finish,
             .level = Level::advanced,
             .help = "take options from a JSON file; those given here as well win",
             .details =
                 "An object whose keys are the long names of options, such as {\"model\": \"x4\", \"size\": "
                 "\"1920x1080\", \"fit\": \"cover\", \"sharpen\": 0.5}. Flags are true or false.",
             .completes = Completes::file});
  table.check([](Options&, const Given& given) {
    if (given("--sharpen") && given("--unsharp"))
      fail(kUsage, "--sharpen and --unsharp contradict each other");
  });
}

}  // namespace ups::apps
