// Autoencoder, latent files, refiners and the latent loop, on tiny networks with known weights.
#include "runtime/latent_loop.h"

#include <fstream>
#include <sstream>

#include "kernels/error.h"
#include "runtime/philox.h"
#include "tests/arch/autoencoder_fixture.h"
#include "weights/safetensors.h"

using namespace ups;
using namespace ups::testing;

namespace {

Extent size_of(const std::string& text) {
  Extent e;
  char by;
  std::istringstream(text) >> e.w >> by >> e.h;
  return e;
}

double mean_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += double(a[i]) - b[i];
  return sum / double(a.size());
}

}  // namespace

TEST_CASE("the loop passes through the sizes of Impact Pack's node", "[arch][latent]") {
  std::ifstream file(std::string(UPS_GOLDEN) + "/latent_sizes.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line); cases++) {
    INFO(line);
    std::istringstream words(line);
    Extent picture;
    LatentLoopOptions o;
    std::string mode, word;
    words >> picture.w >> picture.h >> o.scale >> o.steps >> mode >> word;
    o.geometric = mode == "geometric", o.faithful = true;
    std::vector<Extent> expected;
    while (words >> word && word != "|") expected.push_back(size_of(word));
    std::vector<Extent> seen;
    while (words >> word && word != "|") seen.push_back(size_of(word));
    words >> word;
    CHECK(latent_loop_sizes(picture, 8, o) == expected);
    CHECK(latent_loop_result(picture, 8, o) == size_of(word));
    for (size_t i = 0; i < seen.size(); i++)
      CHECK(seen[i] == Extent{expected[i].h / 8 * 8, expected[i].w / 8 * 8});
  }
  CHECK(cases >= 30);
}

TEST_CASE("without faithful every step counts from the picture and the last is exact", "[arch][latent]") {
  LatentLoopOptions o;
  o.scale = 1.5, o.steps = 3;
  const std::vector<Extent> sizes = {{597, 797}, {683, 911}, {768, 1025}};
  CHECK(latent_loop_sizes({512, 683}, 8, o) == sizes);
  CHECK(latent_loop_result({512, 683}, 8, o) == sizes.back());
  o.scale = 1;
  CHECK(latent_loop_sizes({512, 683}, 8, o).size() == 3);
  o.steps = 0;
  CHECK_THROWS_AS(latent_loop_sizes({512, 683}, 8, o), Error);
  o.steps = 3, o.faithful = true, o.scale = 0.5;
  CHECK_THROWS_AS(latent_loop_sizes({512, 683}, 8, o), Error);
}

TEST_CASE("philox gives the known answers, and normal numbers", "[arch][latent]") {
  // From the known answers of the Random123 library.
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) == PhiloxWords{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t f = 0xffffffff;
  CHECK(philox4x32_10({f, f, f, f}, {f, f}) == PhiloxWords{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  double sum = 0, square = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; i++) {
    const double v = philox_normal(7, uint32_t(i));
    sum += v, square += v * v;
  }
  CHECK(std::abs(sum / n) < 5 / std::sqrt(double(n)));
  CHECK(std::abs(square / n - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(philox_normal(7, 1) != philox_normal(8, 1));
}

TEST_CASE("an encoder pads or crops pictures whose sides 8 does not divide", "[arch][latent]") {
  Fixture f("kl4");
  Picture3 p(43, 61);
  const Latent padded = f.autoencoder->encode(p.image, Fit::pad, {}, {});
  CHECK(padded.extent() == Extent{6, 8});
  CHECK(padded.picture == Extent{43, 61});
  const Latent cropped = f.autoencoder->encode(p.image, Fit::crop, {}, {});
  CHECK(cropped.extent() == Extent{5, 7});
  // Cropping is around the centre: 3 of 43 rows and 5 of 61 columns go, 1 and 2 of them before.
  std::vector<float> centre;
  for (int y = 1; y < 41; y++)
    centre.insert(centre.end(), p.v.begin() + (y * 61 + 2) * 3, p.v.begin() + (y * 61 + 58) * 3);
  const Image part{centre.data(), 40, 56, 3, Depth::f32, 56 * 12};
  CHECK(f.autoencoder->encode(part, Fit::pad, {}, {}).v == cropped.v);
  CHECK(f.autoencoder->encodes() == 3);
  CHECK_THROWS_AS(f.autoencoder->fitted({7, 100}, Fit::crop), Error);
}

TEST_CASE("latents are scaled means, or samples around them", "[arch][latent]") {
  Fixture f("kl4");
  Picture3 p(16, 24);
  f.autoencoder->set_scaling(2, 0.5);
  const Latent mean = f.autoencoder->encode(p.image, Fit::pad, {}, {});
  const Latent one = f.autoencoder->encode(p.image, Fit::pad, 5, {}),
               same = f.autoencoder->encode(p.image, Fit::pad, 5, {}),
               other = f.autoencoder->encode(p.image, Fit::pad, 6, {});
  CHECK(one.v == same.v);
  CHECK(one.v != other.v);
  CHECK(one.v != mean.v);
  // The same again from the network's own output.
  Session encoder(*open_autoencoder(vae_weights(*f.io, VaeDialect::ldm)).encoder, make_cpu_backend(f.pool));
  Planes x{3, 16, 24, std::vector<float>(p.v.size())};
  for (int i = 0; i < 16 * 24; i++)
    for (int k = 0; k < 3; k++) x.v[size_t(k) * 16 * 24 + i] = 2 * p.v[size_t(i) * 3 + k] - 1;
  const Planes moments = run_half(encoder, x);
  for (int k = 0; k < 4; k++)
    for (int i = 0; i < 6; i++) {
      const double m = moments.v[size_t(k) * 6 + i], log_variance = moments.v[size_t(k + 4) * 6 + i];
      CHECK(mean.v[size_t(k) * 6 + i] == Approx((m - 0.5) * 2).margin(1e-5));
      const double z =
          m + std::exp(0.5 * std::clamp(log_variance, -30.0, 20.0)) * philox_normal(5, uint32_t(k * 6 + i));
      CHECK(one.v[size_t(k) * 6 + i] == Approx((z - 0.5) * 2).margin(1e-4));
    }
}

TEST_CASE("a budget of memory moves intermediates to a file and changes no bit", "[arch][latent]") {
  for (const char* name : {"kl4", "taesd", "taesd32"}) {
    Fixture f(name);
    Picture3 p(328, 280);  // large enough for strips to be less than the whole
    const Latent latent = f.autoencoder->encode(p.image, Fit::pad, {}, {});
    const int64_t encode_bytes = f.autoencoder->working_bytes();
    CHECK(!f.autoencoder->spilled());
    std::vector<float> whole(size_t(328) * 280 * 3), strips(whole.size());
    f.autoencoder->decode(latent, whole.data(), {});
    const int64_t bytes = f.autoencoder->working_bytes();
    f.autoencoder->set_budget(bytes - (int64_t(4) << 20));
    f.autoencoder->decode(latent, strips.data(), {});
    CHECK(f.autoencoder->spilled());
    CHECK(f.autoencoder->working_bytes() < bytes);
    CHECK(strips == whole);
    f.autoencoder->set_budget(encode_bytes - (int64_t(4) << 20));
    CHECK(f.autoencoder->encode(p.image, Fit::pad, {}, {}).v == latent.v);
    CHECK(f.autoencoder->spilled());
    f.autoencoder->set_budget(1 << 20);
    CHECK_THROWS_WITH(f.autoencoder->decode(latent, strips.data(), {}), Catch::Contains("needs at least"));
  }
}

TEST_CASE("latent files come back, from ourselves and from others", "[arch][latent]") {
  TemporaryFolder folder;
  Latent l{4, 3, 5, std::vector<float>(60), {20, 39}};
  for (int i = 0; i < 60; i++) l.v[size_t(i)] = float(i) / 7;
  write_latent(folder / "a.safetensors", l, 0.18215, 0);
  bool raw = true;
  const Latent back = read_latent(folder / "a.safetensors", &raw);
  CHECK(!raw);
  CHECK(back.v == l.v);
  CHECK(back.extent() == l.extent());
  CHECK(back.picture == l.picture);

  StateDict comfy;
  comfy.add_owned("latent_tensor", {1, 4, 3, 5}, l.v);
  comfy.add_owned("latent_format_version_0", {0}, {});
  write_safetensors(folder / "b.safetensors", comfy);
  CHECK(read_latent(folder / "b.safetensors", &raw).v == l.v);
  CHECK(raw);

  const auto refused = [&](std::vector<int64_t> shape, std::vector<float> values) {
    StateDict w;
    w.add_owned("latent", shape, values);
    write_safetensors(folder / "c.safetensors", w);
    CHECK_THROWS_AS(read_latent(folder / "c.safetensors", &raw), Error);
  };
  refused({2, 4, 3, 5}, std::vector<float>(120));  // a batch
  refused({60}, l.v);
  refused({1, 1, 1, 1}, {NAN});
  refused({1, 0, 3, 5}, {});
  refused({300, 1, 1}, std::vector<float>(300));
}

TEST_CASE("the loop meets its size, and says how often it encoded and decoded", "[arch][latent]") {
  struct Case {
    bool faithful;
    int refiner;  // 0 none, 1 noise, 2 low-pass
    int encodes, decodes;
  };
  for (const Case& c : {Case{false, 0, 1, 1}, Case{false, 1, 3, 3}, Case{false, 2, 4, 3}, Case{true, 0, 4, 4},
                        Case{true, 1, 4, 4}}) {
    INFO(c.faithful << " " << c.refiner);
    Fixture f("taesd");
    Picture3 p(37, 50);
    LatentLoopOptions o;
    o.scale = 1.7, o.steps = 3, o.faithful = c.faithful, o.denoise = 0.2, o.denoise_end = 0.1;
    const Extent e = latent_loop_result({37, 50}, 8, o);
    CHECK(e == (c.faithful ? Extent{48, 80} : Extent{63, 85}));
    std::vector<float> out(size_t(e.pixels()) * 3, NAN);
    const Image hr{out.data(), e.h, e.w, 3, Depth::f32, int64_t(e.w) * 12};
    auto refiner = c.refiner == 1   ? make_noise_refiner(3)
                   : c.refiner == 2 ? make_low_pass_refiner(f.pool)
                                    : nullptr;
    std::vector<Extent> shown;
    double last = 0;
    run_latent_loop(
        *f.autoencoder, f.pool, p.image, hr, o, refiner.get(), {},
        [&](int, int, const Image& rgb) { shown.push_back(rgb.extent()); },
        [&](double done) {
          CHECK(done >= last - 1e-9);
          last = done;
        });
    CHECK(f.autoencoder->encodes() == c.encodes);
    CHECK(f.autoencoder->decodes() == c.decodes);
    CHECK(last == Approx(1));
    CHECK(shown.size() == (c.faithful ? 3u : 2u));
    for (float v : out) REQUIRE(std::isfinite(v));
    if (c.faithful) CHECK(shown[0] == Extent{32, 48});  // what is decoded, before it is resized
  }
}

TEST_CASE("a network may enlarge between decode and encode, and alpha is resampled", "[arch][latent]") {
  Fixture f("taesd");
  std::vector<uint8_t> rgba(size_t(16) * 16 * 4, 100), out(size_t(32) * 32 * 4);
  for (size_t i = 3; i < rgba.size(); i += 4) rgba[i] = uint8_t(i % 2 ? 200 : 200);
  const Image in{rgba.data(), 16, 16, 4, Depth::u8, 64}, hr{out.data(), 32, 32, 4, Depth::u8, 128};
  LatentLoopOptions o;
  o.steps = 2;
  std::vector<Extent> asked;
  run_latent_loop(*f.autoencoder, f.pool, in, hr, o, nullptr,
                  [&](const Image& from, Image& to) {
                    CHECK(from.c == 3);
                    asked.push_back(to.extent());
                    for (int y = 0; y < to.h; y++)
                      std::fill_n(reinterpret_cast<float*>(to.row(y)), to.w * 3, 0.25f);
                  },
                  {}, {});
  CHECK(asked == std::vector<Extent>{{24, 24}, {32, 32}});
  CHECK(out[3] == 200);
}

TEST_CASE("noise is seeded per step and scaled, a low pass gives back what is coarse", "[arch][latent]") {
  Latent l{2, 8, 12, std::vector<float>(192, 0.5f), {}};
  const auto noise = make_noise_refiner(10);
  const Latent a = noise->refine(l, {0, 2, 0.5}), b = noise->refine(l, {1, 2, 0.5});
  for (uint32_t i = 0; i < 192; i++) {
    REQUIRE(a.v[i] == 0.5f + 0.5f * philox_normal(10, i));
    REQUIRE(b.v[i] == 0.5f + 0.5f * philox_normal(12, i));
  }
  Pool pool(1);
  const auto low = make_low_pass_refiner(pool);
  low->begin(l);
  Latent shifted = l;
  for (float& v : shifted.v) v = -1;
  CHECK(low->refine(shifted, {0, 1, 1}).v[5] == Approx(0.5));
  CHECK(low->refine(shifted, {0, 1, 0.5}).v[5] == Approx(-0.25));
}

TEST_CASE("the anchor gives a picture its coarse colours back and leaves detail", "[arch][latent]") {
  Pool pool(2);
  Picture3 reference(70, 90), faded(70, 90);
  for (float& v : faded.v) v = v * 0.8f + 0.02f;
  const double before = mean_difference(faded.v, reference.v);
  anchor_colours(reference.v.data(), faded.v.data(), {70, 90}, 1, pool);
  CHECK(std::abs(mean_difference(faded.v, reference.v)) < 0.05 * std::abs(before));
  // Detail finer than 32 px keeps the faded contrast: rows oscillate with a period of 7 px.
  const auto contrast = [](const Picture3& p) { return p.v[(35 * 90 + 40) * 3] - p.v[(38 * 90 + 40) * 3]; };
  CHECK(contrast(faded) == Approx(0.8 * contrast(reference)).epsilon(0.05));
  Picture3 same(70, 90);
  anchor_colours(reference.v.data(), same.v.data(), {70, 90}, 1, pool);
  CHECK(same.v == reference.v);
}
