// Refiner: what happens to a latent between encoding and decoding. A diffusion sampler would be one.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cpu/pool.h"
#include "runtime/latent.h"

namespace ups {

struct RefineStep {
  int step = 0, steps = 1;  // this one of so many, from 0
  double denoise = 0;       // how much of the latent to make anew, 0..1
};

class Refiner {
 public:
  virtual ~Refiner() = default;
  // The latent of this step -> one of the same shape. Called once per step, in order.
  virtual Latent refine(const Latent& latent, const RefineStep& step) = 0;
  // Whether the first latent of the loop is wanted: see begin().
  virtual bool wants_source() const { return false; }
  virtual void begin(const Latent&) {}
};

// Adds denoise * seeded normal noise, with seed + 2 * step as Impact Pack counts.
std::unique_ptr<Refiner> make_noise_refiner(uint64_t seed);
// Replaces the share `denoise` of what is coarser than 4 latent pixels of the source by that of the source:
// what the steps may change is detail.
std::unique_ptr<Refiner> make_low_pass_refiner(Pool& pool);

// [c, h, w] resampled to another extent, plane by plane: by the box filter (`average`) or the bilinear one.
Latent resize_latent(const Latent& latent, Extent to, bool average, Pool& pool);

}  // namespace ups
