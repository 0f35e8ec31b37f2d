// How the size is reached: network steps and the resampling at the end.
#include <sstream>

#include "apps/options/registry.h"

namespace ups::apps {
namespace {

void set_filters(Options& o, const Value& v) {
  std::istringstream parts(v.text + (v.text.empty() || v.text.back() == ',' ? "," : ""));
  std::string part;
  while (std::getline(parts, part, ',')) {
    o.loop.filters.push_back(v.with(part).choice<ups_filter>({{"lanczos3", UPS_FILTER_LANCZOS3},
                                                              {"bicubic", UPS_FILTER_BICUBIC},
                                                              {"mitchell", UPS_FILTER_MITCHELL},
                                                              {"bilinear", UPS_FILTER_BILINEAR},
                                                              {"box", UPS_FILTER_BOX},
                                                              {"nearest", UPS_FILTER_NEAREST},
                                                              {"area", UPS_FILTER_AREA},
                                                              {"lanczos4", UPS_FILTER_LANCZOS4},
                                                              {"cubic", UPS_FILTER_CUBIC}}));
  }
  o.filter = o.loop.filters.back();
  if (o.loop.filters.size() == 1) o.loop.filters.clear();
}

}  // namespace

void add_step_options(OptionTable& table) {
  table.add({.names = "--steps",
             .argument = "N",
             .group = Group::steps,
             .level = Level::basic,
             .help = "reach the size in N network steps, 1..64 (1)",
             .set = [](Options& o, const Value& v) { o.steps = int(v.integer(1, 64)); }});
  table.add(
      {.names = "--step-mode",
       .argument = "MODE",
       .group = Group::steps,
       .level = Level::advanced,
       .help = "native, once, simple, geometric or loopback; default native for one step, else geometric",
       .details =
           "How the sizes of the steps are spaced: simple evenly, geometric by equal factors (3 steps unless "
           "told), loopback along --ease (4). native is one step: as few network passes as reach the size, "
           "at "
           "most 3. once is one step of one pass, and what is missing is resampled: quicker where a size is "
           "little beyond the network's.",
       .set =
           [](Options& o, const Value& v) {
             o.step_mode = v.choice<ups_step_mode>({{"simple", UPS_STEPS_SIMPLE},
                                                    {"geometric", UPS_STEPS_GEOMETRIC},
                                                    {"native", UPS_STEPS_NATIVE},
                                                    {"loopback", UPS_STEPS_LOOPBACK},
                                                    {"once", UPS_STEPS_ONCE}});
           },
       .choices = {"native", "once", "simple", "geometric", "loopback"}});
  table.add({.names = "--save-steps,--temp-prefix",
             .argument = "PREFIX",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "write PREFIX1.png, PREFIX2.png ... after each step but the last",
             .set = [](Options& o, const Value& v) { o.save_steps = v.text; },
             .completes = Completes::file});
  table.add(
      {.names = "--filter,--resize-filter",
       .argument = "F",
       .group = Group::steps,
       .level = Level::advanced,
       .help =
           "resampling to the exact size (lanczos3), e.g. bicubic, mitchell, bilinear, box, area or nearest",
       .details =
           "lanczos3, bicubic, bilinear, box and nearest are Pillow's; area, lanczos4 and cubic are OpenCV's "
           "INTER_AREA, INTER_LANCZOS4 and INTER_CUBIC, of which the last two alias when they shrink. "
           "With several, as in box,lanczos3: after step 1, 2, ...; the last one after all others.",
       .set = set_filters,
       .choices = {"lanczos3", "bicubic", "mitchell", "bilinear", "box", "nearest", "area", "lanczos4",
                   "cubic"}});
  table.check([](Options& o, const Given& given) {
    // As the systems that the modes come from.
    auto one_step = [&] { return o.step_mode == UPS_STEPS_NATIVE || o.step_mode == UPS_STEPS_ONCE; };
    if (!given("--steps") && !one_step()) o.steps = o.step_mode == UPS_STEPS_LOOPBACK ? 4 : 3;
    if (!given("--step-mode")) o.step_mode = o.steps > 1 ? UPS_STEPS_GEOMETRIC : UPS_STEPS_NATIVE;
    const char* const mode = o.step_mode == UPS_STEPS_ONCE ? "once" : "native";
    if (one_step() && o.steps > 1) {
      fail(kUsage, "--steps: got ", o.steps, ", but --step-mode ", mode,
           " reaches the size in one (use --step-mode geometric or simple)");
    }
    if (given("--save-steps") && one_step() && given("--step-mode"))
      fail(kUsage, "--save-steps: --step-mode ", mode, " has one step (use --steps N and another mode)");
    if (given("--save-steps") && o.steps < 2)
      fail(kUsage, "--save-steps: there is no step before the last (use --steps 2 or more)");
  });
}

}  // namespace ups::apps
