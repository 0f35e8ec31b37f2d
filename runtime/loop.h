// The loop driver: takes an image to its final size in steps. Each step runs the network as often as its
// target needs and resamples to the target; pixels stay float between steps.
#pragma once

#include <functional>
#include <vector>

#include "runtime/image.h"
#include "runtime/loop_steps.h"
#include "runtime/output.h"
#include "runtime/upscaler.h"

namespace ups {

struct LoopOptions {
  double scale = 0;  // total; 0: the model's default
  Extent size{};     // if set, the last step meets this size instead of scale times the input's
  int steps = 1;
  StepMode mode = StepMode::native;
  Filter filter = Filter::lanczos3;
  TileOptions tiles;
  Kind kind = Kind::color;
  bool alpha_too = false;   // alpha, too, goes through the network
  bool drop_alpha = false;  // it is not part of the result
  LoopRules rules;
  // Where weights change from step to step: the session of step k = 0, 1, ..., of the same architecture as
  // the session the loop was planned with; valid until the next call. Empty: that session runs all steps.
  std::function<Session&(int k)> session_at;
};

// One network pass of the loop, as planned.
struct PassPlan {
  Extent lr;  // input of the pass
  TileGrid grid;
  bool last;     // of its step: the result is resampled to the target
  Extent pad{};  // px of the input's continuation that the resampling needs, where an axis wraps
};

struct StepPlan {
  Step step;
  Filter filter;                 // to its target
  std::vector<PassPlan> passes;  // none: the step only resamples
  double pixels() const {        // LR, of all passes: the work
    double all = 0;
    for (const PassPlan& pass : passes) all += double(pass.grid.pixels());
    return all;
  }
};

struct LoopPlan {
  Extent lr, hr;         // lr: the part of the picture that is used, cut from its middle
  bool at_most = false;  // sizes follow from the pictures on the way: those planned are the largest
  double factor = 1;     // from lr to hr
  ChannelPlan channels;
  std::vector<StepPlan> steps;
  int64_t peak_bytes = 0;  // everything the library allocates while running, weights included; not lr and hr
  double flop = 0;
};

// The size of the result. Error{Code::usage} for options out of range.
Extent loop_output(Extent lr, double default_scale, const LoopOptions& options);

// Decides everything before anything runs. Throws Error{Code::usage} for options out of range.
LoopPlan plan_loop(Session& session, const Image& lr, const LoopOptions& options);

// Step k of such a loop, from a picture of `from`, the network running `runs` times over it.
StepPlan plan_step(Session& session, Extent from, const Step& step, int k, double factor, int runs,
                   const LoopOptions& options);

// Executes a plan; lr is the whole picture. step_done (may be empty) sees the float image after every step
// but the last.
using StepDone = std::function<void(int step, int steps, const Image& image)>;
void run_loop(Session& session, Pool& pool, const Image& lr, const LoopPlan& plan, const LoopOptions& options,
              Output& output, const StepDone& step_done, const Progress& progress);

}  // namespace ups
