// The driver of the latent loop, and its colour anchor.
#include "runtime/latent_loop.h"

#include <algorithm>
#include <cmath>

#include "kernels/convert.h"
#include "kernels/error.h"
#include "runtime/schedule_faithful.h"

namespace ups {
namespace {

constexpr int kCoarse = 32;  // px of what the anchor calls coarse

struct Rgb {
  Extent extent;
  std::vector<float> v;
  explicit Rgb(Extent e = {}) : extent(e), v(size_t(e.pixels()) * 3) {}
  Image image() { return f32_image(v.data(), extent, 3); }
  // [y0, x0] onwards, of another extent.
  Rgb crop(int y0, int x0, Extent e) const {
    Rgb out(e);
    for (int y = 0; y < e.h; y++)
      std::copy_n(v.data() + (int64_t(y + y0) * extent.w + x0) * 3, int64_t(e.w) * 3,
                  out.v.data() + int64_t(y) * e.w * 3);
    return out;
  }
};

class Loop {
 public:
  Loop(Autoencoder& autoencoder, Pool& pool, const LatentLoopOptions& options, Refiner* refiner,
       const PixelUpscale& upscale, const LatentStepDone& step_done, const Progress& progress)
      : vae_(autoencoder),
        pool_(pool),
        o_(options),
        refiner_(refiner),
        upscale_(upscale),
        step_done_(step_done),
        progress_(progress) {}

  Rgb faithful(const Image& in, const std::vector<Extent>& sizes) {
    const int steps = int(sizes.size());
    units_ = 2 * steps + 2;
    Rgb before = seen(in);
    Latent latent = encode(before, Fit::crop);
    if (refiner_) refiner_->begin(latent);
    for (int i = 0; i < steps; i++) {
      Rgb rgb = decode(latent, before);
      if (step_done_) step_done_(i + 1, steps, rgb.image());
      Rgb larger = enlarged(rgb, sizes[size_t(i)]);
      before = seen(larger.image());
      latent = refined(encode(before, Fit::crop), i, steps);
    }
    return decode(latent, before);
  }

  Rgb exact(const Image& in, const std::vector<Extent>& sizes) {
    const int steps = int(sizes.size());
    const bool from_source = refiner_ && refiner_->wants_source();
    units_ = (refiner_ ? 2 * steps : 2) + (from_source ? 1 : 0);
    Rgb state(in.extent());
    crop_tile(in, 0, 0, in.c >= 3 ? kFirst3 : kGrayTo3, dense_f32(state.v.data(), in.h, in.w, 3), pool_);
    if (from_source) refiner_->begin(encode(state, o_.fit));
    for (int i = 0; i < steps; i++) {
      state = enlarged(state, sizes[size_t(i)]);
      if (refiner_ || i == steps - 1) {
        const Rgb before = state;
        state = decode(refined(encode(state, o_.fit), i, steps), before);
      }
      if (step_done_ && i < steps - 1) step_done_(i + 1, steps, state.image());
    }
    return state;
  }

 private:
  // What the encoder sees of a picture that it crops.
  Rgb seen(const Image& in) {
    const Extent e = vae_.fitted(in.extent(), Fit::crop);
    Rgb out(e);
    crop_tile(in, (in.h - e.h) / 2, (in.w - e.w) / 2, in.c >= 3 ? kFirst3 : kGrayTo3,
              dense_f32(out.v.data(), e.h, e.w, 3), pool_);
    return out;
  }
  Rgb enlarged(Rgb& in, Extent to) {
    Rgb out(to);
    Image target = out.image();
    if (upscale_)
      upscale_(in.image(), target);
    else
      resize(in.v.data(), in.extent, 3, out.v.data(), to, o_.filter, pool_);
    return out;
  }
  Latent encode(Rgb& rgb, Fit fit) { return vae_.encode(rgb.image(), fit, {}, unit()); }
  // `before` is what was encoded: the result has its extent, and its colours as far as they are anchored.
  Rgb decode(const Latent& latent, const Rgb& before) {
    const int f = vae_.networks().factor;
    Rgb rgb({latent.h * f, latent.w * f});
    vae_.decode(latent, rgb.v.data(), unit());
    if (!(rgb.extent == before.extent)) rgb = rgb.crop(0, 0, before.extent);
    if (o_.anchor > 0) anchor_colours(before.v.data(), rgb.v.data(), rgb.extent, o_.anchor, pool_);
    return rgb;
  }
  Latent refined(Latent latent, int step, int steps) {
    if (!refiner_) return latent;
    const double at = steps > 1 ? double(step) / (steps - 1) : 1;
    return refiner_->refine(latent, {step, steps, o_.denoise + (o_.denoise_end - o_.denoise) * at});
  }
  Progress unit() {
    const double from = unit_++ / units_;
    return [this, from](double done) {
      if (progress_) progress_(std::min(1.0, from + done / units_));
    };
  }

  Autoencoder& vae_;
  Pool& pool_;
  const LatentLoopOptions& o_;
  Refiner* refiner_;
  const PixelUpscale& upscale_;
  const LatentStepDone& step_done_;
  const Progress& progress_;
  double unit_ = 0, units_ = 1;
};

}  // namespace

std::vector<Extent> latent_loop_sizes(Extent picture, int factor, const LatentLoopOptions& o) {
  check(o.steps >= 1 && o.steps <= 1000, Code::usage, "latent loop: got ", o.steps,
        " steps, expected 1 to 1000");
  check(std::isfinite(o.scale) && o.scale > 0, Code::usage, "latent loop: got a scale of ", o.scale,
        ", expected a positive number");
  std::vector<Extent> sizes;
  if (!o.faithful) {
    for (const Step& s :
         schedule(picture, o.scale, o.steps, o.geometric ? StepMode::geometric : StepMode::simple))
      sizes.push_back(s.target);
    return sizes;
  }
  const int h = picture.h / factor * factor, w = picture.w / factor * factor;
  check(o.scale >= 1 && h > 0 && w > 0, Code::usage, "latent loop: got a scale of ", o.scale, " for ",
        picture.w, "x", picture.h, ", expected at least 1 and a picture of at least ", factor, "x", factor,
        " (faithful mode knows no others)");
  check(std::max(h, w) * o.scale < (1 << 30), Code::usage, "latent loop: the result would be too large");
  for (double scale : impact_scales(o.scale, o.steps, o.geometric))
    sizes.push_back({int(h * scale), int(w * scale)});
  return sizes;
}

Extent latent_loop_result(Extent picture, int factor, const LatentLoopOptions& o) {
  const std::vector<Extent> sizes = latent_loop_sizes(picture, factor, o);
  const Extent last = sizes.empty() ? picture : sizes.back();
  return o.faithful ? Extent{last.h / factor * factor, last.w / factor * factor} : last;
}

void anchor_colours(const float* reference, float* rgb, Extent e, double strength, Pool& pool) {
  const Extent low{(e.h + kCoarse - 1) / kCoarse, (e.w + kCoarse - 1) / kCoarse};
  std::vector<float> wanted(size_t(low.pixels()) * 3), got(wanted.size()), fix(size_t(e.pixels()) * 3);
  resize(reference, e, 3, wanted.data(), low, Filter::box, pool);
  resize(rgb, e, 3, got.data(), low, Filter::box, pool);
  for (size_t i = 0; i < got.size(); i++) got[i] = wanted[i] - got[i];
  resize(got.data(), low, 3, fix.data(), e, Filter::bilinear, pool);
  for (size_t i = 0; i < fix.size(); i++) rgb[i] += float(strength) * fix[i];
}

void run_latent_loop(Autoencoder& autoencoder, Pool& pool, const Image& in, const Image& out,
                     const LatentLoopOptions& o, Refiner* refiner, const PixelUpscale& upscale,
                     const LatentStepDone& step_done, const Progress& progress) {
  const int factor = autoencoder.networks().factor;
  check(out.extent() == latent_loop_result(in.extent(), factor, o), Code::usage, "latent loop: out is ",
        out.w, "x", out.h, ", expected the size of the last step");
  check(in.c == out.c, Code::usage, "latent loop: out has ", out.c, " channels, expected ", in.c, " as in");
  const std::vector<Extent> sizes = latent_loop_sizes(in.extent(), factor, o);
  Loop loop(autoencoder, pool, o, refiner, upscale, step_done, progress);
  const Rgb result = o.faithful ? loop.faithful(in, sizes) : loop.exact(in, sizes);
  const int c = in.c >= 3 ? 3 : 1;
  OutputOptions output_options;
  output_options.filter = o.filter;
  Output output(in, out, c, output_options, pool, {});
  std::vector<float> gray(size_t(out.w));
  for (int y = 0; y < out.h; y++) {
    const float* row = result.v.data() + int64_t(y) * out.w * 3;
    if (c == 1) rgb_to_gray(row, gray.data(), out.w);
    output.put(y, 1, c == 1 ? gray.data() : row);
  }
}

}  // namespace ups
