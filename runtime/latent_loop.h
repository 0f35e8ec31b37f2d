// The latent loop: a picture enlarged in steps, each of which passes through an autoencoder and a refiner.
#pragma once

#include <functional>
#include <vector>

#include "runtime/autoencoder.h"
#include "runtime/output.h"
#include "runtime/refiner.h"

namespace ups {

struct LatentLoopOptions {
  double scale = 2;
  int steps = 3;
  bool geometric = false;  // else simple
  // As Impact Pack's IterativeImageUpscale: sizes from the latent and truncated, every picture cropped to
  // multiples of the factor, and a decode and an encode in every step.
  bool faithful = false;
  Filter filter = Filter::lanczos3;
  double denoise = 0, denoise_end = 0;  // of the first and the last step
  double anchor = 0;                    // share of the coarse colours given back after each decode
  Fit fit = Fit::pad;                   // not when faithful
};

// The sizes that pictures are resized to, one per step. Faithful: of 8 * latent, factors by repeated addition
// or multiplication as the node does, truncated; scale 1 gives steps - 1 of them, which is the node's too.
// Otherwise of the picture, rounded; the last is the final size. Error{Code::usage} for values out of range.
std::vector<Extent> latent_loop_sizes(Extent picture, int factor, const LatentLoopOptions& options);

// The size of the result.
Extent latent_loop_result(Extent picture, int factor, const LatentLoopOptions& options);

// Enlarges or shrinks f32 RGB to exactly the extent of `out`.
using PixelUpscale = std::function<void(const Image& in, Image& out)>;
using LatentStepDone = std::function<void(int step, int steps, const Image& rgb)>;

// in -> out, whose extent is latent_loop_result(). Pixels and latents are float all the way. Without
// `faithful` the state between steps is pixels: a step encodes and decodes only if the refiner changes
// latents, and the last step always does. `upscale` may be empty: the filter.
void run_latent_loop(Autoencoder& autoencoder, Pool& pool, const Image& in, const Image& out,
                     const LatentLoopOptions& options, Refiner* refiner, const PixelUpscale& upscale,
                     const LatentStepDone& step_done, const Progress& progress);

// rgb gets the share `strength` of the difference of what is coarser than 32 px between it and the reference.
void anchor_colours(const float* reference, float* rgb, Extent extent, double strength, Pool& pool);

}  // namespace ups
