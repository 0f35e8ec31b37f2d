// Sizes of every mode against tables made by tests/golden/make_loops.py from the published formulas.
#include <fstream>
#include <sstream>

#include "kernels/error.h"
#include "runtime/loop_steps.h"
#include "runtime/schedule_faithful.h"
#include "tests/testing.h"

using namespace ups;

namespace {

const char* const kCurves[kEases] = {"linear",    "in-sine",      "out-sine",   "in-out-sine", "in-cubic",
                                     "out-cubic", "in-out-cubic", "in-quint",   "out-quint",   "in-out-quint",
                                     "in-circ",   "out-circ",     "in-out-circ"};

Ease curve_of(const std::string& name) {
  for (int i = 0; i < kEases; i++)
    if (name == kCurves[i]) return Ease(i);
  FAIL("curve " << name);
  return {};
}

std::string text(Extent e) { return std::to_string(e.w) + "x" + std::to_string(e.h); }

// "adaptive:a:m0,m1,..."
std::vector<std::string> adaptive_sizes(const std::string& mode, Extent lr, double factor, int loops) {
  std::istringstream parts(mode.substr(9));
  double a, mean;
  char colon;
  parts >> a;
  AdaptiveLoopback rule(lr, scaled_extent(lr, factor), loops, a);
  std::vector<std::string> sizes;
  for (int i = 0; i < loops; i++) {
    if (i < loops - 1) parts >> colon >> mean;
    sizes.push_back(text(rule.next(mean)));
  }
  return sizes;
}

std::vector<std::string> planned_sizes(const std::string& mode, Extent lr, double factor, int steps,
                                       const std::string& curve) {
  if (mode.rfind("adaptive", 0) == 0) return adaptive_sizes(mode, lr, factor, steps);
  LoopRules rules;
  StepMode m = StepMode::loopback;
  if (mode.rfind("loopback", 0) == 0) {
    rules.ease = curve_of(curve);
    rules.faithful = mode == "loopback-faithful";
  } else {
    m = mode == "simple" ? StepMode::simple : mode == "geometric" ? StepMode::geometric : StepMode::native;
    rules.faithful = true;
  }
  const Extent start = loop_start(lr, m, rules);
  std::vector<std::string> sizes;
  for (const Step& s : loop_steps(start, factor, steps, m, rules)) sizes.push_back(text(s.kept()));
  return sizes;
}

}  // namespace

TEST_CASE("sizes of every mode are those of the system it comes from", "[runtime][schedule]") {
  std::ifstream table(UPS_GOLDEN "/loops.txt");
  int rows = 0;
  for (std::string line; std::getline(table, line); rows++) {
    INFO(line);
    std::istringstream parts(line);
    std::string mode, curve, size;
    Extent lr;
    double factor;
    int steps;
    parts >> mode >> lr.w >> lr.h >> factor >> steps >> curve;
    std::vector<std::string> want;
    while (parts >> size) want.push_back(size);
    // One step without a network pass stands for no step at all.
    if (want.empty()) want = {text(cropped_to_8(lr))};
    CHECK(planned_sizes(mode, lr, factor, steps, curve) == want);
  }
  CHECK(rows == 83);
}

TEST_CASE("known examples of faithful steps", "[runtime][schedule]") {
  LoopRules rules;
  rules.faithful = true;
  const Extent start = loop_start({512, 683}, StepMode::simple, rules);
  CHECK(start == Extent{512, 680});
  const auto steps = loop_steps(start, 1.5, 3, StepMode::simple, rules);
  REQUIRE(steps.size() == 3);
  CHECK(steps[0] == Step{{597, 793}, {592, 792}});
  CHECK(steps[2] == Step{{768, 1020}, {768, 1016}});
  CHECK(loop_steps({512, 512}, 1, 3, StepMode::simple, rules).size() == 2);
  CHECK(loop_steps({512, 683}, 2, 1, StepMode::native, rules)[0].target == Extent{1024, 1360});
  CHECK_THROWS_AS(loop_start({7, 100}, StepMode::simple, rules), Error);
  CHECK_THROWS_AS(loop_steps({64, 64}, 0.5, 2, StepMode::simple, rules), Error);
  // A row of pixels that is eight times as long once it is eight high.
  CHECK(loop_steps({1, 1000}, 1, 1, StepMode::loopback, rules)[0].target == Extent{8, 8000});
  CHECK_THROWS_AS(loop_steps({1, 1 << 29}, 1, 1, StepMode::loopback, rules), Error);
}

TEST_CASE("passes of every mode", "[runtime][schedule]") {
  LoopRules plain, faithful;
  faithful.faithful = true;
  auto passes = [](Extent from, Extent to, int s, double f, StepMode m, const LoopRules& r) {
    return loop_passes(from, to, s, f, m, r);
  };
  // Native: at most three, at least one; faithful none where nothing is to grow, but for factor 1.
  CHECK(passes({10, 10}, {160, 160}, 2, 16, StepMode::native, plain) == 3);
  CHECK(passes({10, 10}, {160, 160}, 2, 16, StepMode::native, faithful) == 3);
  CHECK(passes({10, 10}, {40, 40}, 2, 4, StepMode::native, faithful) == 2);
  CHECK(passes({10, 10}, {5, 5}, 2, 0.5, StepMode::native, plain) == 1);
  CHECK(passes({10, 10}, {160, 160}, 2, 16, StepMode::once, plain) == 1);
  CHECK(passes({10, 10}, {8, 8}, 2, 0.8, StepMode::native, faithful) == 0);
  CHECK(passes({10, 10}, {8, 8}, 2, 1, StepMode::native, faithful) == 1);
  CHECK(passes({10, 10}, {40, 40}, 1, 4, StepMode::native, faithful) == 1);
  // Impact: the width decides, and nothing runs where it is reached.
  CHECK(passes({100, 10}, {300, 20}, 2, 2, StepMode::simple, faithful) == 1);
  CHECK(passes({100, 10}, {300, 20}, 2, 2, StepMode::simple, plain) == 2);
  CHECK(passes({10, 10}, {10, 10}, 2, 1, StepMode::geometric, faithful) == 0);
  CHECK(passes({10, 10}, {10, 10}, 2, 1, StepMode::geometric, plain) == 1);
  CHECK(passes({10, 10}, {90, 90}, 4, 9, StepMode::geometric, faithful) == 2);
  CHECK(passes({10, 10}, {90, 90}, 1, 9, StepMode::geometric, faithful) == 1);
}

TEST_CASE("denoise strength is multiplied from step to step and held", "[runtime][schedule]") {
  CHECK(denoise_at(0.5, 0.9, 0) == 0.5);
  CHECK(denoise_at(0.05, 0.9, 0) == 0.05);
  CHECK(denoise_at(0.5, 0.9, 2) == Approx(0.405));
  CHECK(denoise_at(0.12, 0.9, 3) == 0.1);
  CHECK(denoise_at(0.9, 1.1, 4) == 1);
}

TEST_CASE("curves go from 0 to 1 and never back", "[runtime][schedule]") {
  for (int i = 0; i < kEases; i++) {
    const Ease curve = Ease(i);
    INFO(kCurves[i]);
    CHECK(ease(curve, 0) == Approx(0).margin(1e-15));
    CHECK(ease(curve, 1) == Approx(1));
    double before = 0;
    for (int k = 1; k <= 100; k++) {
      const double e = ease(curve, k / 100.0);
      CHECK(e >= before - 1e-15);
      before = e;
    }
  }
  CHECK(ease(Ease::in_quint, 0.5) == 0.0625);
  CHECK(ease(Ease::out_quint, 0.5) == 1 - 0.03125);
}

TEST_CASE("a brightness step of more pixels than an int holds ends at the last size", "[runtime][schedule]") {
  AdaptiveLoopback rule({1, 1}, {1000000000, 1000000000}, 2, 10);
  CHECK(rule.next(255) == Extent{1000000000, 1000000000});  // 5e8 px times 10
}
