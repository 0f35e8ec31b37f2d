// Which sizes an image passes through on its way to the final one. Pure functions of sizes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tensor.h"

namespace ups {

// The order is that of ups_step_mode in include/upscale.h.
enum class StepMode : uint8_t {
  native,     // one step to the final size: as few network passes as reach it, then one resample
  simple,     // step k of N has factor 1 + k (f - 1) / N
  geometric,  // step k of N has factor f^(k / N)
  loopback,   // sizes along a curve, or by the brightness of the picture: schedule_loopback.h
  once        // one step of one network pass, then one resample, which may enlarge
};
constexpr bool is_one_step(StepMode m) { return m == StepMode::native || m == StepMode::once; }

// One step: run the network until it covers the target, resample to the target, keep its middle.
struct Step {
  Extent target;
  Extent crop{0, 0};  // of the middle; 0x0: all is kept
  Extent kept() const { return crop.h ? crop : target; }
  friend constexpr bool operator==(Step a, Step b) { return a.target == b.target && a.crop == b.crop; }
};

// Upper bound of `steps`: as many distinct sizes as anybody could want, and a bound for allocation.
constexpr int kMaxSteps = 10000;

// A native step runs the network at most this often, as AUTOMATIC1111's upscaler; resampling does the rest.
constexpr int kMostNativePasses = 3;

// An exact side in px as an int, truncated. Error{Code::usage} unless it is finite and below 2^31 - 1.
int whole_side(double exact);

// round(h * factor) x round(w * factor), halves away from zero, each at least 1. Error{Code::usage} unless
// factor is finite and > 0 and both sides stay below 2^31.
Extent scaled_extent(Extent lr, double factor);

// N = steps steps (simple, geometric; native, once: one, whatever N) with the factors of the mode, k = 1 ..
// N; the last is exactly f. Each size is rounded from the size of the original, so errors do not accumulate.
// (ComfyUI's Impact Pack, from which the two modes come, truncates instead.) f = 1 gives N steps of the same
// size; f < 1 is a downscale. Error{Code::usage} for steps outside 1 .. kMaxSteps and as scaled_extent.
std::vector<Step> schedule(Extent lr, double factor, int steps, StepMode mode);

// The least number of passes of a network of this scale that takes both sides of `from` to at least `target`;
// at least 1, and 1 for a network of scale 1. Error{Code::usage} for sizes or scale < 1.
int passes_needed(Extent from, Extent target, int network_scale);

}  // namespace ups
