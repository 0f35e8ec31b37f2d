// The sizes of the loopback scaler (Elldreth's script for AUTOMATIC1111's web interface). Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/schedule.h"

namespace ups {

// Penner's curves; the order is that of ups_ease in include/upscale.h.
enum class Ease : uint8_t {
  linear,
  in_sine,
  out_sine,
  in_out_sine,
  in_cubic,
  out_cubic,
  in_out_cubic,
  in_quint,  // p^4, as in the script, not p^5
  out_quint,
  in_out_quint,
  in_circ,
  out_circ,
  in_out_circ
};
constexpr int kEases = 13;

// p in 0..1 -> 0..1.
double ease(Ease curve, double p);

// L sizes: loop i < L - 1 has e = ease(i / L) of the way from lr to `last`, so the first loop works at lr's
// size; loop L - 1 reaches `last`. The side that is nearer its end drives (the height where h / w >=
// last.h / last.w), int(a + (b - a) e); the other follows from the aspect.
//   plain: rounded to the nearest, and the last loop is exactly `last`.
//   faithful: other side floored, then both sides, the last loop's too, raised to multiples of 8: the shorter
//   first, the longer from that and the aspect.
// Error{Code::usage} for loops outside 1 .. kMaxSteps and sizes below 1.
std::vector<Step> loopback_schedule(Extent lr, Extent last, int loops, Ease curve, bool faithful);

// The denoise strength of step k = 0, 1, ...: `first`, multiplied by `change` after each and then held within
// 0.1..1.
double denoise_at(double first, double change, int k);

// The older rule: each loop but the last adds int(floor((end - start) / L) mean / 255 a) px to the driving
// side, where mean is that of the picture so far at 8 bits; the other side is floored from the aspect.
class AdaptiveLoopback {
 public:
  // loops as above; factor a: 0 < a <= 10.
  AdaptiveLoopback(Extent lr, Extent last, int loops, double factor);
  // The size of the next loop, called once per loop in order. mean: 0..255. Never beyond `last` on the
  // driving side.
  Extent next(double mean);

 private:
  Extent lr_, last_;
  int loops_, done_ = 0, increment_ = 0;
  double factor_;
  bool height_drives_;
  int side_;  // of the loop so far
};

}  // namespace ups
