// Easing curves and the rounding around them.
#include "runtime/schedule_loopback.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace ups {
namespace {

double in_sine(double p) { return 1 - std::cos(std::numbers::pi * p / 2); }
double in_cubic(double p) { return p * p * p; }
double in_quint(double p) { return p * p * p * p; }
double in_fifth(double p) { return p * p * p * p * p; }
double in_circ(double p) { return 1 - std::sqrt(1 - p * p); }

// The other two members of a family are the first, mirrored.
double out_of(double (*in)(double), double p) { return 1 - in(1 - p); }
double in_out_of(double (*in)(double), double p) { return p < 0.5 ? in(2 * p) / 2 : 1 - in(2 - 2 * p) / 2; }

void check_loops(Extent lr, Extent last, int loops) {
  check(loops >= 1 && loops <= kMaxSteps, Code::usage, "loopback: got ", loops, " loops, expected 1 to ",
        kMaxSteps);
  check(lr.h >= 1 && lr.w >= 1 && last.h >= 1 && last.w >= 1, Code::usage, "loopback: got ", lr.w, "x", lr.h,
        " px to ", last.w, "x", last.h, " px, expected all at least 1");
}

double ratio(Extent e) { return double(e.h) / e.w; }

int floored(double side) { return std::max(1, int(std::floor(side))); }

// Shorter side to a multiple of 8, the longer from it and the aspect of the original.
Extent raised_to_8(Extent e, Extent original) {
  auto raised = [](double side) { return whole_side(std::ceil(side / 8) * 8); };
  const double aspect = double(std::max(original.h, original.w)) / std::min(original.h, original.w);
  if (e.h <= e.w) {
    const int h = raised(e.h);
    return {h, raised(std::nearbyint(h * aspect))};
  }
  const int w = raised(e.w);
  return {raised(std::nearbyint(w * aspect)), w};
}

}  // namespace

double ease(Ease curve, double p) {
  switch (curve) {
    case Ease::in_sine:
      return in_sine(p);
    case Ease::out_sine:
      return out_of(in_sine, p);
    case Ease::in_out_sine:
      return in_out_of(in_sine, p);
    case Ease::in_cubic:
      return in_cubic(p);
    case Ease::out_cubic:
      return out_of(in_cubic, p);
    case Ease::in_out_cubic:
      return in_out_of(in_cubic, p);
    case Ease::in_quint:
      return in_quint(p);
    case Ease::out_quint:
      return out_of(in_fifth, p);
    case Ease::in_out_quint:
      return in_out_of(in_fifth, p);
    case Ease::in_circ:
      return in_circ(p);
    case Ease::out_circ:
      return out_of(in_circ, p);
    case Ease::in_out_circ:
      return in_out_of(in_circ, p);
    default:
      return p;
  }
}

std::vector<Step> loopback_schedule(Extent lr, Extent last, int loops, Ease curve, bool faithful) {
  check_loops(lr, last, loops);
  const double r = ratio(lr);
  const bool height_drives = r >= ratio(last);
  std::vector<Step> out;
  for (int i = 0; i < loops; i++) {
    if (i == loops - 1 && !faithful) {
      out.push_back({last});
      break;
    }
    const double e = i == loops - 1 ? 1 : ease(curve, double(i) / loops);
    auto between = [&](int a, int b) { return int((b - a) * e + a); };
    const int h = between(lr.h, last.h), w = between(lr.w, last.w);
    if (faithful) {
      const Extent kept = height_drives ? Extent{h, floored(h / r)} : Extent{floored(w * r), w};
      out.push_back({raised_to_8(kept, lr)});
    } else {
      auto rounded = [](double side) { return int(std::max<long long>(1, std::llround(side))); };
      out.push_back({height_drives ? Extent{h, rounded(h / r)} : Extent{rounded(w * r), w}});
    }
  }
  return out;
}

double denoise_at(double first, double change, int k) {
  for (; k > 0; k--) first = std::clamp(first * change, 0.1, 1.0);
  return first;
}

AdaptiveLoopback::AdaptiveLoopback(Extent lr, Extent last, int loops, double factor)
    : lr_(lr), last_(last), loops_(loops), factor_(factor), height_drives_(ratio(lr) >= ratio(last)) {
  check_loops(lr, last, loops);
  check(factor > 0 && factor <= 10, Code::usage, "loopback: got an adaptive change of ", factor,
        ", expected above 0 and up to 10");
  side_ = height_drives_ ? lr.h : lr.w;
  const int end = height_drives_ ? last.h : last.w;
  increment_ = int(std::floor(double(end - side_) / loops));
}

Extent AdaptiveLoopback::next(double mean) {
  if (++done_ >= loops_) return last_;
  const int start = height_drives_ ? lr_.h : lr_.w, end = height_drives_ ? last_.h : last_.w;
  // In double: a factor of 10 takes a large increment beyond the range of int.
  const double side = side_ + std::trunc(increment_ * (mean / 255) * factor_);
  side_ = int(std::clamp(side, double(std::min(start, end)), double(std::max(start, end))));
  const double r = ratio(lr_);
  return height_drives_ ? Extent{side_, floored(side_ / r)} : Extent{floored(side_ * r), side_};
}

}  // namespace ups
