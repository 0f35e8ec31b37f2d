// How the size is reached: network steps and the resampling at the end.
#include "apps/options/registry.h"

namespace ups::apps {

void add_step_options(OptionTable& table) {
  table.add({.names = "--steps",
             .argument = "N",
             .group = Group::steps,
             .level = Level::basic,
             .help = "reach the size in N network steps, 1..64 (1)",
             .set = [](Options& o, const Value& v) { o.steps = int(v.integer(1, 64)); }});
  table.add({.names = "--step-mode",
             .argument = "MODE",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "simple, geometric or native; default native for one step, else geometric",
             .set =
                 [](Options& o, const Value& v) {
                   o.step_mode = v.choice<ups_step_mode>({{"simple", UPS_STEPS_SIMPLE},
                                                          {"geometric", UPS_STEPS_GEOMETRIC},
                                                          {"native", UPS_STEPS_NATIVE}});
                 },
             .choices = {"simple", "geometric", "native"}});
  table.add({.names = "--save-steps",
             .argument = "PREFIX",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "write PREFIX1.png, PREFIX2.png ... after each step but the last",
             .set = [](Options& o, const Value& v) { o.save_steps = v.text; },
             .completes = Completes::file});
  table.add({.names = "--filter",
             .argument = "F",
             .group = Group::steps,
             .level = Level::advanced,
             .help = "resampling to the exact size: lanczos3, bicubic, mitchell, bilinear, box or nearest",
             .set =
                 [](Options& o, const Value& v) {
                   o.filter = v.choice<ups_filter>({{"lanczos3", UPS_FILTER_LANCZOS3},
                                                    {"bicubic", UPS_FILTER_BICUBIC},
                                                    {"mitchell", UPS_FILTER_MITCHELL},
                                                    {"bilinear", UPS_FILTER_BILINEAR},
                                                    {"box", UPS_FILTER_BOX},
                                                    {"nearest", UPS_FILTER_NEAREST}});
                 },
             .choices = {"lanczos3", "bicubic", "mitchell", "bilinear", "box", "nearest"}});
  table.check([](Options& o, const Given& given) {
    if (!given("--step-mode")) o.step_mode = o.steps > 1 ? UPS_STEPS_GEOMETRIC : UPS_STEPS_NATIVE;
    if (given("--save-steps") && o.steps < 2)
      fail(kUsage, "--save-steps: there is no step before the last (use --steps 2 or more)");
  });
}

}  // namespace ups::apps
