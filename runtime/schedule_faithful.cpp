// Truncation, accumulation and multiples of 8, as the originals have them.
#include "runtime/schedule_faithful.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace ups {

Extent cropped_to_8(Extent e) { return {std::max(8, e.h / 8 * 8), std::max(8, e.w / 8 * 8)}; }

std::vector<double> impact_scales(double factor, int steps, bool geometric) {
  const double unit = geometric ? std::pow(factor, 1.0 / steps) : std::max(0.0, (factor - 1.0) / steps);
  std::vector<double> scales;
  double scale = 1;
  for (int i = 0; i < steps - 1; i++) scales.push_back(scale = geometric ? scale * unit : scale + unit);
  if (scale < factor) scales.push_back(factor);
  return scales;
}

std::vector<Step> impact_schedule(Extent lr, double factor, int steps, StepMode mode) {
  check(steps >= 1 && steps <= kMaxSteps, Code::usage, "schedule: got ", steps, " steps, expected 1 to ",
        kMaxSteps);
  check(factor >= 1 && factor <= 10000, Code::usage, "schedule: got a factor of ", factor,
        ", expected 1 to 10000 for faithful steps");
  check(lr.h >= 8 && lr.w >= 8 && lr.h % 8 == 0 && lr.w % 8 == 0, Code::usage, "schedule: got ", lr.w, "x",
        lr.h, " px, expected multiples of 8 for faithful steps");
  std::vector<Step> out;
  for (double scale : impact_scales(factor, steps, mode == StepMode::geometric)) {
    const Extent target{whole_side(lr.h * scale), whole_side(lr.w * scale)};
    out.push_back({target, cropped_to_8(target)});
  }
  return out;
}

Step a1111_step(Extent lr, double factor) {
  auto side = [&](int px) { return whole_side(std::floor(px * factor / 8) * 8); };
  const Step step{{side(lr.h), side(lr.w)}};
  check(step.target.h >= 8 && step.target.w >= 8, Code::usage, "schedule: got ", lr.w, "x", lr.h,
        " px by a factor of ", factor, ", expected sides of at least 8 px (leave out --faithful)");
  return step;
}

int a1111_passes(Extent from, Extent target, int network_scale, double factor) {
  int passes = 0;
  int64_t h = from.h, w = from.w;
  for (int i = 0; i < kMostNativePasses; i++) {
    if (h >= target.h && w >= target.w && (i > 0 || factor != 1)) break;
    h *= network_scale, w *= network_scale, passes++;
    if (network_scale == 1) break;
  }
  return passes;
}

int impact_passes(Extent from, Extent target, int network_scale) {
  int passes = 0;
  for (int64_t w = from.w; w < target.w; w *= network_scale) {
    passes++;
    if (network_scale == 1) break;
  }
  return passes;
}

}  // namespace ups
