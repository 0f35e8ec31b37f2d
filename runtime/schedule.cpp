// Step schedules: closed forms of the factor after each step.
#include "runtime/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"

namespace ups {
namespace {

// The nearest size in pixels, at least 1.
int rounded(double exact) { return std::max(1, whole_side(std::round(exact))); }

}  // namespace

int whole_side(double exact) {
  check(std::isfinite(exact) && exact < double(std::numeric_limits<int>::max()), Code::usage,
        "schedule: got a side of ", exact, " px, expected less than 2147483647 px (use a smaller factor)");
  return int(exact);
}

Extent scaled_extent(Extent lr, double factor) {
  check(lr.h >= 1 && lr.w >= 1, Code::usage, "schedule: got an image of ", lr.w, "x", lr.h,
        ", expected at least 1x1");
  check(std::isfinite(factor) && factor > 0, Code::usage, "schedule: got a factor of ", factor,
        ", expected a positive number");
  return {rounded(lr.h * factor), rounded(lr.w * factor)};
}

std::vector<Step> schedule(Extent lr, double factor, int steps, StepMode mode) {
  check(steps >= 1 && steps <= kMaxSteps, Code::usage, "schedule: got ", steps, " steps, expected 1 to ",
        kMaxSteps);
  const Step last{scaled_extent(lr, factor)};
  std::vector<Step> out;
  check(mode != StepMode::loopback, Code::usage, "schedule: loopback has a schedule of its own");
  for (int k = 1; k < steps && !is_one_step(mode); k++) {
    if (mode == StepMode::simple) {
      // Divided last: side * (1 + 0.5 / 3) would round a size of 38.5 px either way.
      const auto side = [&](int px) { return rounded(px + px * (factor - 1) * k / steps); };
      out.push_back({{side(lr.h), side(lr.w)}});
    } else {
      out.push_back({scaled_extent(lr, std::pow(factor, double(k) / steps))});
    }
  }
  out.push_back(last);
  return out;
}

int passes_needed(Extent from, Extent target, int network_scale) {
  check(from.h >= 1 && from.w >= 1 && target.h >= 1 && target.w >= 1 && network_scale >= 1, Code::usage,
        "schedule: got ", from.w, "x", from.h, " px to ", target.w, "x", target.h,
        " px by a network of scale ", network_scale, ", expected all at least 1");
  if (network_scale == 1) return 1;
  // Saturated, because one side may outgrow its target while the other is still short of its own.
  const auto grow = [&](int64_t side) { return std::min<int64_t>(side * network_scale, int64_t(1) << 31); };
  int passes = 1;
  for (int64_t h = grow(from.h), w = grow(from.w); h < target.h || w < target.w; passes++)
    h = grow(h), w = grow(w);
  return passes;
}

}  // namespace ups
