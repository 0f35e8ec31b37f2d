// What Autoencoder, latent files and the latent loop do around the networks: scaling, ranges, clamps, crops,
// steps.
#include "runtime/latent_loop.h"
#include "runtime/philox.h"
#include "tests/arch/autoencoder_fixture.h"
#include "weights/safetensors.h"

using namespace ups;
using namespace ups::testing;

namespace {

// A latent of values that a clamp at 3 changes.
Latent wide_latent(int c, int h, int w) {
  Latent l{c, h, w, std::vector<float>(size_t(c) * h * w), {}};
  for (size_t i = 0; i < l.v.size(); i++) l.v[i] = 6 * std::sin(float(i));
  return l;
}

// Gives latents back and remembers what it was asked.
struct Witness final : Refiner {
  std::vector<RefineStep> steps;
  Latent refine(const Latent& latent, const RefineStep& step) override {
    steps.push_back(step);
    return latent;
  }
};

std::vector<float> run_loop(Fixture& f, const Image& in, const LatentLoopOptions& o, Refiner* refiner,
                            const LatentStepDone& step_done = {}) {
  const Extent e = latent_loop_result(in.extent(), f.autoencoder->networks().factor, o);
  std::vector<float> out(size_t(e.pixels()) * 3);
  run_latent_loop(*f.autoencoder, f.pool, in, {out.data(), e.h, e.w, 3, Depth::f32, int64_t(e.w) * 12}, o,
                  refiner, {}, step_done, {});
  return out;
}

}  // namespace

TEST_CASE("a decoder is given z by scaling, shift and clamp, and gives colours of 0..1", "[arch][latent]") {
  for (const char* name : {"kl4", "taesd"}) {
    INFO(name);
    Fixture f(name);
    const AutoencoderNetworks n = f.open();
    f.autoencoder->set_scaling(2, 0.5);
    const Latent l = wide_latent(n.latent_c, 3, 5);
    std::vector<float> rgb(size_t(3 * n.factor) * 5 * n.factor * 3);
    f.autoencoder->decode(l, rgb.data(), {});
    Session decoder(*n.decoder, make_cpu_backend(f.pool));
    Planes z{l.c, l.h, l.w, l.v};
    for (float& v : z.v) {
      v = v / 2 + 0.5f;
      if (n.clamped) v = 3 * std::tanh(v / 3);
    }
    CHECK(n.clamped == (name[0] == 't'));
    const Planes picture = run_half(decoder, z);
    for (int k = 0; k < 3; k++)
      for (int i = 0; i < picture.h * picture.w; i++) {
        const float v = picture.v[size_t(k) * picture.h * picture.w + i];
        REQUIRE(rgb[size_t(i) * 3 + k] == Approx(n.signed_range ? v / 2 + 0.5f : v).margin(1e-4));
      }
  }
}

TEST_CASE("a sample's variance has diffusers' limits", "[arch][latent]") {
  Pool pool(1);
  const auto io = open_weights(std::string(UPS_GOLDEN) + "/vae/kl4.io.safetensors");
  const auto from = vae_weights(*io, VaeDialect::ldm);
  const auto open = [&] {
    auto w = std::make_shared<StateDict>();
    for (const auto& [key, entry] : from->entries())
      if (key == "quant_conv.bias")
        w->add_owned(key, {8}, {0, 0, 0, 0, 50, 0, 0, 0});  // the logarithm of the first channel's variance
      else
        w->add(key, entry);
    w->source = "golden";
    return open_autoencoder(w);
  };
  Autoencoder a(
      open, [&] { return make_cpu_backend(pool); }, pool);
  a.set_scaling(1, 0);
  Picture3 p(16, 16);
  const Latent mean = a.encode(p.image, Fit::pad, {}, {}), sample = a.encode(p.image, Fit::pad, 9, {});
  for (int i = 0; i < 4; i++)
    CHECK(sample.v[i] - mean.v[i] == Approx(std::exp(10.0) * philox_normal(9, uint32_t(i))).epsilon(1e-4));
}

TEST_CASE("a latent is found under each of its names, beside others", "[arch][latent]") {
  for (const char* name : {"latent", "latents", "samples", "latent_tensor"}) {
    StateDict w;
    w.add_owned("another", {1, 1, 1, 1}, {7}), w.add_owned(name, {1, 2, 1, 1}, {1, 2});
    w.metadata["width"] = "12345678", w.metadata["height"] = "8";
    bool raw = true;
    const Latent l = latent_of(w, &raw);
    CHECK(l.v == std::vector<float>{1, 2});
    CHECK(!raw);
    CHECK(l.picture == Extent{8, 0});  // no width of eight digits
  }
  StateDict only;
  only.add_owned("any name", {2, 1, 1}, {3, 4});
  bool raw = true;
  CHECK(latent_of(only, &raw).v == std::vector<float>{3, 4});

  TemporaryFolder folder;
  write_latent(folder / "l.safetensors", {1, 1, 1, {5}, {3, 4}}, 0.5, 0.125);
  const auto file = open_weights(folder / "l.safetensors");
  const Latent again = latent_of(*file, &raw);
  CHECK(again.scaling == 0.5);
  CHECK(again.shift == 0.125);
  for (const char* nonsense : {"", "x", "0", "-1", "nan", "inf", "1e9", "0.5x"}) {
    StateDict lying;
    lying.add_owned("latent", {1, 1, 1}, {1});
    lying.metadata["scaling_factor"] = nonsense;
    CHECK(latent_of(lying, &raw).scaling == 0);
  }
  CHECK(file->metadata.at("scaling_factor") == "0.5");
  CHECK(file->metadata.at("shift_factor") == "0.125");
  CHECK(file->metadata.at("width") == "4");
  CHECK(file->metadata.at("height") == "3");
}

TEST_CASE("the share to refine goes evenly from the first step to the last", "[arch][latent]") {
  Fixture f("taesd");
  Picture3 p(16, 24);
  LatentLoopOptions o;
  o.scale = 1.5, o.denoise = 0.5, o.denoise_end = 0.1;
  for (bool faithful : {false, true}) {
    o.faithful = faithful, o.steps = 3;
    Witness w;
    run_loop(f, p.image, o, &w);
    REQUIRE(w.steps.size() == 3);
    for (int i = 0; i < 3; i++) {
      CHECK(w.steps[size_t(i)].step == i);
      CHECK(w.steps[size_t(i)].steps == 3);
      CHECK(w.steps[size_t(i)].denoise == Approx(0.5 - 0.2 * i));
    }
  }
  o.steps = 1;
  Witness once;
  run_loop(f, p.image, o, &once);
  REQUIRE(once.steps.size() == 1);
  CHECK(once.steps[0].denoise == Approx(0.1));
}

TEST_CASE("faithful steps crop around the centre, count from one and are decodings", "[arch][latent]") {
  Fixture f("taesd");
  Picture3 p(45, 62);
  LatentLoopOptions o;
  o.scale = 1.5, o.steps = 2, o.faithful = true;
  std::vector<float> first;
  std::vector<int> steps;
  run_loop(f, p.image, o, nullptr, [&](int step, int of, const Image& rgb) {
    CHECK(of == 2);
    steps.push_back(step);
    if (step > 1) return;
    const float* v = reinterpret_cast<const float*>(rgb.row(0));
    CHECK(rgb.extent() == Extent{40, 56});
    first.assign(v, v + rgb.extent().pixels() * 3);
  });
  CHECK(steps == std::vector<int>{1, 2});
  std::vector<float> expected(size_t(40) * 56 * 3);
  f.autoencoder->decode(f.autoencoder->encode(p.image, Fit::crop, {}, {}), expected.data(), {});
  CHECK(first == expected);
}

TEST_CASE("half an anchor goes half of the way", "[arch][latent]") {
  Pool pool(1);
  Picture3 reference(40, 70), faded(40, 70);
  for (float& v : faded.v) v = v * 0.8f + 0.02f;
  std::vector<float> whole = faded.v, half = faded.v;
  anchor_colours(reference.v.data(), whole.data(), {40, 70}, 1, pool);
  anchor_colours(reference.v.data(), half.data(), {40, 70}, 0.5, pool);
  for (size_t i = 0; i < half.size(); i++)
    REQUIRE(half[i] == Approx((whole[i] + faded.v[i]) / 2).margin(1e-6));
}
