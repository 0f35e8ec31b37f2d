// The sizes of the systems whose loops we offer, as they compute them: see docs/loops.md. Pure functions.
#pragma once

#include <vector>

#include "runtime/schedule.h"

namespace ups {

// A side cut to the multiple of 8 that an autoencoder takes: floor(d / 8) 8, at least 8.
Extent cropped_to_8(Extent e);

// The scales s_k of Impact Pack's iterative upscalers, accumulated in double as there: each is the one before
// plus (f - 1) / N, or times f^(1 / N), and the last is f. f = 1 gives N - 1 of them, so N = 1 gives none.
std::vector<double> impact_scales(double factor, int steps, bool geometric);

// Impact Pack's IterativeImageUpscale. `lr` must be a result of cropped_to_8. Step k reaches int(w s_k) x
// int(h s_k) and is then cut to multiples of 8 from the middle (Step::crop). Error{Code::usage} unless 1 <= f
// <= 10000 and mode is simple or geometric; also for sides that would vanish.
std::vector<Step> impact_schedule(Extent lr, double factor, int steps, StepMode mode);

// AUTOMATIC1111's Upscaler.upscale: one step to floor(w f / 8) 8 x floor(h f / 8) 8. Error{Code::usage} where
// that is nothing.
Step a1111_step(Extent lr, double factor);

// Its passes: at most three; none where the picture is as large already, but for factor 1.
int a1111_passes(Extent from, Extent target, int network_scale, double factor);

// Impact Pack's passes: while the width is short of the target's; a network of scale 1 runs at most once.
int impact_passes(Extent from, Extent target, int network_scale);

}  // namespace ups
