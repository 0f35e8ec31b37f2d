// Twelve independent multiply-add chains in registers: enough to hide the latency of two pipes.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/kernels/fma_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ups::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Returns floating-point operations; `out` keeps the result alive.
double multiply_add(int rounds, float* out) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const V lane = hn::Iota(d, 0);  // different chains, or the compiler merges them
  V a0 = lane, a1 = hn::Add(a0, lane), a2 = hn::Add(a1, lane), a3 = hn::Add(a2, lane), a4 = hn::Add(a3, lane);
  V a5 = hn::Add(a4, lane), a6 = hn::Add(a5, lane), a7 = hn::Add(a6, lane), a8 = hn::Add(a7, lane);
  V a9 = hn::Add(a8, lane), b0 = hn::Add(a9, lane), b1 = hn::Add(b0, lane);
  const V m = hn::Set(d, out[0]), c = hn::Set(d, out[1]);
  for (int i = 0; i < rounds; i++) {
    a0 = hn::MulAdd(a0, m, c), a1 = hn::MulAdd(a1, m, c), a2 = hn::MulAdd(a2, m, c),
    a3 = hn::MulAdd(a3, m, c);
    a4 = hn::MulAdd(a4, m, c), a5 = hn::MulAdd(a5, m, c), a6 = hn::MulAdd(a6, m, c),
    a7 = hn::MulAdd(a7, m, c);
    a8 = hn::MulAdd(a8, m, c), a9 = hn::MulAdd(a9, m, c), b0 = hn::MulAdd(b0, m, c),
    b1 = hn::MulAdd(b1, m, c);
  }
  const V sum = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(hn::Add(a4, a5), hn::Add(a6, a7)));
  out[2] = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, hn::Add(hn::Add(a8, a9), hn::Add(b0, b1)))));
  return 24.0 * rounds * double(hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <chrono>

#include "bench/kernels/fma_peak.h"

namespace ups::bench {

HWY_EXPORT(multiply_add);

double fma_peak_gflops() {
  using Clock = std::chrono::steady_clock;
  float out[3] = {0.999f, 1e-3f, 0};
  double best = 0;
  for (int i = 0; i < 30; i++) {
    const auto start = Clock::now();
    const double flops = HWY_DYNAMIC_DISPATCH(multiply_add)(200000, out);
    best = std::max(best, flops / std::chrono::duration<double>(Clock::now() - start).count() / 1e9);
  }
  return best;
}

}  // namespace ups::bench
#endif
