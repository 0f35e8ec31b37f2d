// Which schedule and which count of passes belong to a mode.
#include "runtime/loop_steps.h"

#include <algorithm>

#include "kernels/error.h"
#include "runtime/schedule_faithful.h"

namespace ups {
namespace {

bool of_impact(StepMode mode, const LoopRules& rules) {
  return rules.faithful && (mode == StepMode::simple || mode == StepMode::geometric);
}

std::vector<Step> loopback_steps(Extent lr, double factor, int loops, const LoopRules& rules) {
  auto floored = [&](int side) { return std::max(1, int(side * factor)); };
  const Extent exact = scaled_extent(lr, factor);
  const Extent last = rules.faithful ? Extent{floored(lr.h), floored(lr.w)} : exact;
  if (rules.adaptive == 0) return loopback_schedule(lr, last, loops, rules.ease, rules.faithful);
  AdaptiveLoopback adaptive(lr, last, loops, rules.adaptive);
  std::vector<Step> steps;
  for (int i = 0; i < loops; i++) steps.push_back({adaptive.next(255)});
  return steps;
}

}  // namespace

Extent loop_start(Extent lr, StepMode mode, const LoopRules& rules) {
  if (!of_impact(mode, rules)) return lr;
  check(lr.h >= 8 && lr.w >= 8, Code::usage, "image: is ", lr.w, "x", lr.h,
        ", expected at least 8x8 for faithful steps");
  return cropped_to_8(lr);
}

std::vector<Step> loop_steps(Extent start, double factor, int steps, StepMode mode, const LoopRules& rules) {
  if (mode == StepMode::loopback) return loopback_steps(start, factor, steps, rules);
  if (!rules.faithful) return schedule(start, factor, steps, mode);
  if (mode == StepMode::native) return {a1111_step(start, factor)};
  std::vector<Step> out = impact_schedule(start, factor, steps, mode);
  if (out.empty()) out.push_back({start});
  return out;
}

int loop_passes(Extent from, Extent target, int network_scale, double factor, StepMode mode,
                const LoopRules& rules) {
  if (of_impact(mode, rules)) return impact_passes(from, target, network_scale);
  if (mode == StepMode::once) return 1;
  if (mode != StepMode::native) return passes_needed(from, target, network_scale);
  if (rules.faithful) return a1111_passes(from, target, network_scale, factor);
  return std::min(passes_needed(from, target, network_scale), kMostNativePasses);
}

}  // namespace ups
