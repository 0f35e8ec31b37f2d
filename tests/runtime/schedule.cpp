// Step schedules against closed forms evaluated in 60-digit decimal arithmetic.
#include "runtime/schedule.h"

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

struct Size {
  int w, h;
};

struct Row {
  int w, h;
  double factor;
  int steps;
  StepMode mode;
  std::vector<Size> want;
};

// Decimal: w + w k (f - 1) / N and w f^(k/N), rounded half up. Where the exact value is a tie (683 * 2.5),
// the factor is a binary fraction, so that the double is exact too.
// clang-format off
const Row kTable[] = {
    {683, 512, 2, 3, StepMode::simple, {{911, 683}, {1138, 853}, {1366, 1024}}},
    {683, 512, 2, 3, StepMode::geometric, {{861, 645}, {1084, 813}, {1366, 1024}}},
    {683, 512, 1.5, 3, StepMode::simple, {{797, 597}, {911, 683}, {1025, 768}}},
    {683, 512, 4, 4, StepMode::geometric, {{966, 724}, {1366, 1024}, {1932, 1448}, {2732, 2048}}},
    {683, 512, 4, 4, StepMode::simple, {{1195, 896}, {1708, 1280}, {2220, 1664}, {2732, 2048}}},
    {683, 512, 1.7, 5, StepMode::geometric, {{759, 569}, {845, 633}, {939, 704}, {1044, 783}, {1161, 870}}},
    {640, 480, 2, 3, StepMode::simple, {{853, 640}, {1067, 800}, {1280, 960}}},
    {640, 480, 2, 3, StepMode::geometric, {{806, 605}, {1016, 762}, {1280, 960}}},
    {640, 480, 1.5, 3, StepMode::simple, {{747, 560}, {853, 640}, {960, 720}}},
    {640, 480, 4, 4, StepMode::geometric, {{905, 679}, {1280, 960}, {1810, 1358}, {2560, 1920}}},
    {640, 480, 4, 4, StepMode::simple, {{1120, 840}, {1600, 1200}, {2080, 1560}, {2560, 1920}}},
    {640, 480, 1.7, 5, StepMode::geometric, {{712, 534}, {791, 594}, {880, 660}, {978, 734}, {1088, 816}}},
    {1, 1, 2, 3, StepMode::simple, {{1, 1}, {2, 2}, {2, 2}}},
    {1, 1, 2, 3, StepMode::geometric, {{1, 1}, {2, 2}, {2, 2}}},
    {1, 1, 1.5, 3, StepMode::simple, {{1, 1}, {1, 1}, {2, 2}}},
    {1, 1, 4, 4, StepMode::geometric, {{1, 1}, {2, 2}, {3, 3}, {4, 4}}},
    {1, 1, 4, 4, StepMode::simple, {{2, 2}, {3, 3}, {3, 3}, {4, 4}}},
    {1, 1, 1.7, 5, StepMode::geometric, {{1, 1}, {1, 1}, {1, 1}, {2, 2}, {2, 2}}},
    {1, 5000, 2, 3, StepMode::simple, {{1, 6667}, {2, 8333}, {2, 10000}}},
    {1, 5000, 2, 3, StepMode::geometric, {{1, 6300}, {2, 7937}, {2, 10000}}},
    {1, 5000, 1.5, 3, StepMode::simple, {{1, 5833}, {1, 6667}, {2, 7500}}},
    {1, 5000, 4, 4, StepMode::geometric, {{1, 7071}, {2, 10000}, {3, 14142}, {4, 20000}}},
    {1, 5000, 4, 4, StepMode::simple, {{2, 8750}, {3, 12500}, {3, 16250}, {4, 20000}}},
    {1, 5000, 1.7, 5, StepMode::geometric, {{1, 5560}, {1, 6182}, {1, 6874}, {2, 7644}, {2, 8500}}},
    {127, 251, 2, 3, StepMode::simple, {{169, 335}, {212, 418}, {254, 502}}},
    {127, 251, 2, 3, StepMode::geometric, {{160, 316}, {202, 398}, {254, 502}}},
    {127, 251, 1.5, 3, StepMode::simple, {{148, 293}, {169, 335}, {191, 377}}},
    {127, 251, 4, 4, StepMode::geometric, {{180, 355}, {254, 502}, {359, 710}, {508, 1004}}},
    {127, 251, 4, 4, StepMode::simple, {{222, 439}, {318, 628}, {413, 816}, {508, 1004}}},
    {127, 251, 1.7, 5, StepMode::geometric, {{141, 279}, {157, 310}, {175, 345}, {194, 384}, {216, 427}}},
    {1920, 1080, 0.5, 4, StepMode::simple, {{1680, 945}, {1440, 810}, {1200, 675}, {960, 540}}},
    {1920, 1080, 0.37, 2, StepMode::geometric, {{1168, 657}, {710, 400}}},
    {1920, 1080, 1.5, 3, StepMode::simple, {{2240, 1260}, {2560, 1440}, {2880, 1620}}},
    {1920, 1080, 4, 4, StepMode::geometric, {{2715, 1527}, {3840, 2160}, {5431, 3055}, {7680, 4320}}},
    {1920, 1080, 4, 4, StepMode::simple, {{3360, 1890}, {4800, 2700}, {6240, 3510}, {7680, 4320}}},
    {1920, 1080, 1.7, 5, StepMode::geometric, {{2135, 1201}, {2374, 1335}, {2640, 1485}, {2935, 1651}, {3264, 1836}}},
    {33, 17, 0.5, 4, StepMode::simple, {{29, 15}, {25, 13}, {21, 11}, {17, 9}}},
    {33, 17, 0.37, 2, StepMode::geometric, {{20, 10}, {12, 6}}},
    {33, 17, 1.5, 3, StepMode::simple, {{39, 20}, {44, 23}, {50, 26}}},
    {33, 17, 4, 4, StepMode::geometric, {{47, 24}, {66, 34}, {93, 48}, {132, 68}}},
    {33, 17, 4, 4, StepMode::simple, {{58, 30}, {83, 43}, {107, 55}, {132, 68}}},
    {33, 17, 1.7, 5, StepMode::geometric, {{37, 19}, {41, 21}, {45, 23}, {50, 26}, {56, 29}}},
};
// clang-format on

}  // namespace

TEST_CASE("schedules are the closed forms, rounded from the original size", "[runtime][schedule]") {
  for (const Row& row : kTable) {
    INFO(row.w << "x" << row.h << " factor " << row.factor << " steps " << row.steps);
    const auto steps = schedule({row.h, row.w}, row.factor, row.steps, row.mode);
    REQUIRE(steps.size() == row.want.size());
    for (size_t k = 0; k < steps.size(); k++) {
      CHECK(steps[k].target.w == row.want[k].w);
      CHECK(steps[k].target.h == row.want[k].h);
    }
  }
}

TEST_CASE("factors after each step are those of the two modes", "[runtime][schedule]") {
  // On a side of 10^8 px a size shows eight digits of the factor.
  const Extent lr{100000000, 1};
  const auto factors = [&](double f, int n, StepMode mode) {
    std::vector<double> s;
    for (const Step& step : schedule(lr, f, n, mode)) s.push_back(step.target.h / 1e8);
    return s;
  };
  const auto close = [](const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); i++) CHECK(a[i] == Approx(b[i]).margin(5e-5).epsilon(0));
  };
  close(factors(2, 3, StepMode::simple), {1.3333, 1.6667, 2});
  close(factors(2, 3, StepMode::geometric), {1.2599, 1.5874, 2});
  close(factors(4, 4, StepMode::simple), {1.75, 2.5, 3.25, 4});
  close(factors(4, 4, StepMode::geometric), {1.4142, 2, 2.8284, 4});
}

TEST_CASE("schedules end at the exact size and never turn back", "[runtime][schedule]") {
  UPS_RANDOM(random);
  for (int repeat = 0; repeat < 500; repeat++) {
    const Extent lr{random.integer(1, 5000), random.integer(1, 5000)};
    const double factor = std::exp(random.uniform(-3, 4));
    const int n = random.integer(1, 12);
    const Extent last{int(std::max(1LL, std::llround(lr.h * factor))),
                      int(std::max(1LL, std::llround(lr.w * factor)))};
    CHECK(scaled_extent(lr, factor) == last);
    CHECK(schedule(lr, factor, n, StepMode::native) == std::vector<Step>{{last}});
    for (StepMode mode : {StepMode::simple, StepMode::geometric}) {
      const auto steps = schedule(lr, factor, n, mode);
      REQUIRE(int(steps.size()) == n);
      CHECK(steps.back().target == last);
      Extent before = lr;
      for (const Step& step : steps) {
        CHECK((factor >= 1 ? step.target.h >= before.h : step.target.h <= before.h));
        CHECK((factor >= 1 ? step.target.w >= before.w : step.target.w <= before.w));
        before = step.target;
      }
    }
  }
}

TEST_CASE("a factor of one gives every step at the same size", "[runtime][schedule]") {
  for (StepMode mode : {StepMode::simple, StepMode::geometric})
    CHECK(schedule({17, 23}, 1, 4, mode) == std::vector<Step>(4, Step{{17, 23}}));
}

TEST_CASE("schedules refuse what they cannot represent", "[runtime][schedule]") {
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.code == Code::usage;
    }
    return false;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (double factor : {0.0, -1.0, inf, -inf, std::nan(""), 1e300, 1e10, 2147483647.0})
    CHECK(code_of([&] { schedule({1, 1}, factor, 3, StepMode::geometric); }));
  CHECK(code_of([&] { schedule({65536, 1}, 32768, 1, StepMode::native); }));
  CHECK(code_of([&] { schedule({1, 65536}, 32768, 1, StepMode::native); }));
  CHECK(schedule({65536, 1}, 32767.9, 1, StepMode::native)[0].target == Extent{2147477094, 32768});
  CHECK(code_of([&] { schedule({0, 1}, 2, 1, StepMode::native); }));
  CHECK(code_of([&] { schedule({1, 1}, 2, 0, StepMode::simple); }));
  CHECK(code_of([&] { schedule({1, 1}, 2, kMaxSteps + 1, StepMode::simple); }));
  CHECK(schedule({3, 3}, 2, kMaxSteps, StepMode::simple).size() == size_t(kMaxSteps));
  CHECK(schedule({3, 3}, 1e-9, 2, StepMode::geometric).back().target == Extent{1, 1});
}

TEST_CASE("as few passes as reach the target in both sides", "[runtime][schedule]") {
  CHECK(passes_needed({512, 683}, {1024, 1366}, 4) == 1);
  CHECK(passes_needed({512, 683}, {2048, 2732}, 4) == 1);
  CHECK(passes_needed({512, 683}, {2048, 2733}, 4) == 2);
  CHECK(passes_needed({512, 683}, {2049, 100}, 4) == 2);
  CHECK(passes_needed({512, 683}, {100, 100}, 4) == 1);
  CHECK(passes_needed({512, 683}, {512, 683}, 2) == 1);
  CHECK(passes_needed({512, 683}, {4096, 5464}, 2) == 3);
  CHECK(passes_needed({512, 683}, {4096, 5464}, 1) == 1);
  CHECK(passes_needed({1, 1}, {2147483647, 1}, 2) == 31);
  CHECK(passes_needed({1, 2147483647}, {2147483647, 1}, 2) == 31);
  CHECK(passes_needed({1, 2147483647}, {2147483647, 1}, 2147483647) == 1);
  CHECK_THROWS_AS(passes_needed({0, 1}, {1, 1}, 2), Error);
  CHECK_THROWS_AS(passes_needed({1, 1}, {1, 0}, 2), Error);
  CHECK_THROWS_AS(passes_needed({1, 1}, {1, 1}, 0), Error);
  UPS_RANDOM(random);
  for (int repeat = 0; repeat < 300; repeat++) {
    const Extent from{random.integer(1, 300), random.integer(1, 300)},
        to{random.integer(1, 9999), random.integer(1, 9999)};
    const int scale = random.integer(2, 4), n = passes_needed(from, to, scale);
    const double grown = std::pow(scale, n), less = grown / scale;
    CHECK((from.h * grown >= to.h && from.w * grown >= to.w));
    if (n > 1) CHECK((from.h * less < to.h || from.w * less < to.w));
  }
}
