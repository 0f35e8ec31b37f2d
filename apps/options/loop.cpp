// Loops: the sizes they pass through and what happens after each step.
#include <sstream>

#include "apps/options/registry.h"

namespace ups::apps {
namespace {

const std::map<std::string, ups_ease> kCurves = {{"linear", UPS_EASE_LINEAR},
                                                 {"in-sine", UPS_EASE_IN_SINE},
                                                 {"out-sine", UPS_EASE_OUT_SINE},
                                                 {"in-out-sine", UPS_EASE_IN_OUT_SINE},
                                                 {"in-cubic", UPS_EASE_IN_CUBIC},
                                                 {"out-cubic", UPS_EASE_OUT_CUBIC},
                                                 {"in-out-cubic", UPS_EASE_IN_OUT_CUBIC},
                                                 {"in-quint", UPS_EASE_IN_QUINT},
                                                 {"out-quint", UPS_EASE_OUT_QUINT},
                                                 {"in-out-quint", UPS_EASE_IN_OUT_QUINT},
                                                 {"in-circ", UPS_EASE_IN_CIRC},
                                                 {"out-circ", UPS_EASE_OUT_CIRC},
                                                 {"in-out-circ", UPS_EASE_IN_OUT_CIRC}};

std::vector<std::string> curve_names() {
  std::vector<std::string> names;
  for (const auto& [name, curve] : kCurves) names.push_back(name);
  return names;
}

// "sharpness=1.2,detail=2,contour"
void set_post(Options& o, const Value& v) {
  ups_loop& l = o.loop.values;
  const std::map<std::string, float*> factors = {{"sharpness", &l.sharpness},
                                                 {"brightness", &l.brightness},
                                                 {"color", &l.color},
                                                 {"contrast", &l.contrast}};
  const std::map<std::string, int*> repeats = {
      {"detail", &l.detail}, {"smooth", &l.smooth}, {"blur", &l.blur}};
  std::istringstream parts(v.text);
  std::string part;
  while (std::getline(parts, part, ',')) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    const Value value = v.with(equals == part.npos ? "1" : part.substr(equals + 1));
    auto factor = factors.find(name);
    auto repeat = repeats.find(name);
    if (factor != factors.end() && equals != part.npos) {
      *factor->second = unless_zero(value.number(0, 100));
    } else if (repeat != repeats.end()) {
      *repeat->second = int(value.integer(0, 100));
    } else if (name == "contour" && equals == part.npos) {
      l.contour = 1;
    } else {
      fail(kUsage, "--post: got '", part,
           "', expected sharpness=F, brightness=F, color=F, contrast=F, detail=N, smooth=N, blur=N or "
           "contour");
    }
  }
}

}  // namespace

void add_loop_options(OptionTable& table) {
  table.add({.names = "--faithful",
             .argument = "",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "sizes and passes exactly as the system that the step mode comes from",
             .details =
                 "simple and geometric: as Impact Pack's IterativeImageUpscale, with sides cut to multiples "
                 "of 8 in every step. native: as AUTOMATIC1111, to a multiple of 8 below. loopback: to a "
                 "multiple of 8 above. The result then is not exactly --scale times as large.",
             .set = [](Options& o, const Value&) { o.loop.values.faithful = 1; }});
  table.add(
      {.names = "--ease",
       .argument = "CURVE",
       .group = Group::steps,
       .level = Level::advanced,
       .help =
           "how the sizes of --step-mode loopback grow (linear): in-, out- or in-out-sine, -cubic, -quint, "
           "-circ",
       .set = [](Options& o, const Value& v) { o.loop.values.ease = v.choice<ups_ease>(kCurves); },
       .choices = curve_names()});
  table.add({.names = "--adaptive",
             .argument = "A",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "loopback by the older rule: brighter pictures grow faster, A = 0.5..2",
             .set = [](Options& o, const Value& v) { o.loop.values.adaptive = v.number(0.01, 10); }});
  table.add(
      {.names = "--color-fix",
       .argument = "HOW",
       .group = Group::steps,
       .level = Level::advanced,
       .help = "hold the colours to the input's after every step: lowfreq, mean, histogram or none",
       .details =
           "lowfreq: the low frequencies become the input's. mean: each channel's mean does. histogram: "
           "its whole distribution does. The picture of the last step is then held in memory.",
       .set =
           [](Options& o, const Value& v) {
             o.loop.values.colour_fix = v.choice<ups_colour_fix>({{"none", UPS_COLOUR_FIX_NONE},
                                                                  {"lowfreq", UPS_COLOUR_FIX_LOWFREQ},
                                                                  {"mean", UPS_COLOUR_FIX_MEAN},
                                                                  {"histogram", UPS_COLOUR_FIX_HISTOGRAM}});
           },
       .choices = {"lowfreq", "mean", "histogram", "none"}});
  table.add({.names = "--denoise-change",
             .argument = "C",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "multiply the strength of --denoise by C after every step, within 0.1..1",
             .set = [](Options& o, const Value& v) { o.loop.values.denoise_change = v.number(0.1, 10); }});
  table.add(
      {.names = "--post",
       .argument = "LIST",
       .group = Group::steps,
       .level = Level::advanced,
       .help = "Pillow's filters on the last step's picture, as the loopback scaler: sharpness=1.2,detail=1",
       .details = "sharpness=F, brightness=F, color=F, contrast=F (1 changes nothing), detail=N, smooth=N, "
                  "blur=N (times) and contour; at 8 bits and always in this order.",
       .set = set_post});
  table.check([](Options& o, const Given& given) {
    const bool loopback = o.step_mode == UPS_STEPS_LOOPBACK;
    for (const char* name : {"--ease", "--adaptive"})
      if (given(name) && !loopback) fail(kUsage, name, ": only --step-mode loopback has it");
    if (given("--denoise-change") && !given("--denoise"))
      fail(kUsage, "--denoise-change: give --denoise S, the strength of the first step");
    if (given("--ease") && given("--adaptive")) fail(kUsage, "--ease and --adaptive contradict each other");
    if (given("--faithful") && o.size.exact())
      fail(kUsage, "--faithful: sizes follow from a factor (give --scale and no size)");
  });
}

}  // namespace ups::apps
