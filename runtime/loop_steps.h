// What a loop may do beside network passes, and the steps that follow from it. Pure functions of sizes.
#pragma once

#include <vector>

#include "kernels/resize.h"
#include "runtime/colour_fix.h"
#include "runtime/post.h"
#include "runtime/schedule.h"
#include "runtime/schedule_loopback.h"

namespace ups {

struct LoopRules {
  bool faithful = false;                   // sizes and passes exactly as the system a mode comes from
  Ease ease = Ease::linear;                // loopback
  double adaptive = 0;                     // loopback: the factor of the brightness rule; 0: the curve
  std::vector<Filter> filters;             // of step 1, 2, ...; the last for all others; empty: LoopOptions'
  ColourFix colour_fix = ColourFix::none;  // after every step, towards the colours of the input
  Post post;                               // after the last step
  double denoise_change = 1;               // of the strength, from step to step: LoopOptions::session_at

  // The last step's picture is held whole, not passed on row by row.
  bool whole_last() const { return colour_fix != ColourFix::none || post.any(); }
};

// The part of the input, cut from its middle, that the loop works on.
Extent loop_start(Extent lr, StepMode mode, const LoopRules& rules);

// At least one step. With the brightness rule, which knows the sizes only as it goes, those of a white
// picture: the largest. Error{Code::usage} as the schedules.
std::vector<Step> loop_steps(Extent start, double factor, int steps, StepMode mode, const LoopRules& rules);

// Network passes from `from` to `target`; 0: the step only resamples.
int loop_passes(Extent from, Extent target, int network_scale, double factor, StepMode mode,
                const LoopRules& rules);

}  // namespace ups
