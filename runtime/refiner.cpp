// The refiners that need no network of their own.
#include "runtime/refiner.h"

#include "kernels/resize.h"
#include "runtime/philox.h"

namespace ups {
namespace {

constexpr int kCoarse = 4;  // latent pixels of the source per pixel of its low pass

class Noise final : public Refiner {
 public:
  explicit Noise(uint64_t seed) : seed_(seed) {}
  Latent refine(const Latent& latent, const RefineStep& step) override {
    Latent out = latent;
    const uint64_t seed = seed_ + 2 * uint64_t(step.step);
    for (size_t i = 0; i < out.v.size(); i++)
      out.v[i] += float(step.denoise) * philox_normal(seed, uint32_t(i));
    return out;
  }

 private:
  uint64_t seed_;
};

class LowPass final : public Refiner {
 public:
  explicit LowPass(Pool& pool) : pool_(pool) {}
  bool wants_source() const override { return true; }
  void begin(const Latent& source) override {
    auto coarse = [](int side) { return (side + kCoarse - 1) / kCoarse; };
    low_ = resize_latent(source, {coarse(source.h), coarse(source.w)}, true, pool_);
  }
  Latent refine(const Latent& latent, const RefineStep& step) override {
    Latent difference = resize_latent(latent, low_.extent(), true, pool_);
    for (size_t i = 0; i < difference.v.size(); i++) difference.v[i] = low_.v[i] - difference.v[i];
    difference = resize_latent(difference, latent.extent(), false, pool_);
    Latent out = latent;
    for (size_t i = 0; i < out.v.size(); i++) out.v[i] += float(step.denoise) * difference.v[i];
    return out;
  }

 private:
  Pool& pool_;
  Latent low_;
};

}  // namespace

Latent resize_latent(const Latent& latent, Extent to, bool average, Pool& pool) {
  Latent out;
  out.c = latent.c, out.h = to.h, out.w = to.w, out.picture = latent.picture;
  out.v.resize(size_t(out.count()));
  for (int k = 0; k < latent.c; k++)
    resize(latent.v.data() + k * latent.extent().pixels(), latent.extent(), 1, out.v.data() + k * to.pixels(),
           to, average ? Filter::box : Filter::bilinear, pool);
  return out;
}

std::unique_ptr<Refiner> make_noise_refiner(uint64_t seed) { return std::make_unique<Noise>(seed); }
std::unique_ptr<Refiner> make_low_pass_refiner(Pool& pool) { return std::make_unique<LowPass>(pool); }

}  // namespace ups
