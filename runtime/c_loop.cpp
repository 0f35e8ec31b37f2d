// Ranges of ups_loop.
#include "runtime/c_loop.h"

#include "kernels/error.h"
#include "runtime/c_boundary.h"

namespace ups {

LoopRules loop_rules(const ups_loop& given) {
  const ups_loop g = read_struct(&given, "ups_loop");
  check_choice("ease", g.ease, UPS_EASE_IN_OUT_CIRC);
  check(g.adaptive >= 0 && g.adaptive <= 10, Code::usage, "adaptive: got ", g.adaptive, ", expected 0 to 10");
  check(g.filter_count >= 0 && g.filter_count <= kMaxSteps && (g.filters || g.filter_count == 0), Code::usage,
        "filters: got ", g.filter_count, ", expected 0 to ", kMaxSteps, " with an array");
  check_choice("colour_fix", g.colour_fix, UPS_COLOUR_FIX_HISTOGRAM);
  check(g.denoise_change >= 0 && g.denoise_change <= 10, Code::usage, "denoise_change: got ",
        g.denoise_change, ", expected 0 to 10");
  LoopRules r;
  if (g.denoise_change > 0) r.denoise_change = g.denoise_change;
  r.faithful = g.faithful != 0;
  r.ease = Ease(g.ease);
  r.adaptive = g.adaptive;
  for (int i = 0; i < g.filter_count; i++) {
    check_choice("filters", g.filters[i], UPS_FILTER_CUBIC);
    r.filters.push_back(Filter(g.filters[i]));
  }
  r.colour_fix = ColourFix(g.colour_fix);
  auto factor = [](const char* name, float v) {
    check(v <= 100, Code::usage, name, ": got ", v, ", expected at most 100");
    return read_factor(v);
  };
  auto times = [](const char* name, int n) {
    check(n >= 0 && n <= 100, Code::usage, name, ": got ", n, ", expected 0 to 100");
    return n;
  };
  r.post = {factor("sharpness", g.sharpness),
            factor("brightness", g.brightness),
            factor("color", g.color),
            factor("contrast", g.contrast),
            times("detail", g.detail),
            times("smooth", g.smooth),
            times("blur", g.blur),
            g.contour != 0};
  return r;
}

}  // namespace ups
