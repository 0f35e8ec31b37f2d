// AutoencoderKL and TAESD in every key dialect against diffusers' modules in float64.
#include <iostream>

#include "kernels/error.h"
#include "tests/arch/vae_net.h"

using namespace ups;
using namespace ups::testing;

namespace {

std::shared_ptr<const StateDict> golden(const std::string& name) {
  return open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
}

// Largest error over the largest reference value.
double relative_error(const Planes& got, const Planes& want) {
  REQUIRE(got.c == want.c);
  REQUIRE(got.h == want.h);
  REQUIRE(got.w == want.w);
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.v.size(); i++) {
    REQUIRE(std::isfinite(got.v[i]));
    largest = std::max(largest, std::fabs(double(want.v[i])));
    worst = std::max(worst, std::fabs(double(got.v[i]) - want.v[i]));
  }
  return worst / largest;
}

struct Errors {
  double encode, decode;
};

// Of both halves on the CPU, with the conventions of the networks applied here as diffusers applies them.
Errors errors_of(const AutoencoderNetworks& a, const StateDict& io) {
  Pool pool(2);
  Session encoder(*a.encoder, make_cpu_backend(pool)), decoder(*a.decoder, make_cpu_backend(pool));
  Planes image = planes(io, "image"), latent = planes(io, "latent");
  if (a.signed_range)
    for (float& v : image.v) v = 2 * v - 1;
  if (a.clamped)
    for (float& v : latent.v) v = std::tanh(v / 3) * 3;
  Errors e;
  e.encode = relative_error(run_half(encoder, image), planes(io, a.moments ? "moments" : "latent_out"));
  Planes picture = run_half(decoder, latent);
  if (a.signed_range)
    for (float& v : picture.v) v = v / 2 + 0.5f;
  e.decode = relative_error(picture, planes(io, "decoded"));
  return e;
}

// Some forty layers of sums of up to 4608 products in float: a few 2^-24 * sqrt(4608) each, added up at
// random; the issue asks for 1e-4.
constexpr double kBound = 2e-5;

void check_kl(const std::string& name, VaeDialect dialect, const char* words) {
  INFO(name << " " << words);
  const auto io = golden(name);
  const AutoencoderNetworks a = open_autoencoder(vae_weights(*io, dialect));
  CHECK(a.family == "AutoencoderKL");
  CHECK(a.dialect.find(words) != std::string::npos);
  CHECK(a.latent_c == std::stoi(io->metadata.at("z")));
  const Errors e = errors_of(a, *io);
  CHECK(e.encode < kBound);
  CHECK(e.decode < kBound);
  if (std::getenv("UPS_PRINT_ERRORS"))
    std::cout << name << ", " << a.dialect << ": encoder " << e.encode << ", decoder " << e.decode << '\n';
}

}  // namespace

TEST_CASE("AutoencoderKL equals diffusers' in every dialect", "[arch][autoencoder]") {
  check_kl("kl4", VaeDialect::ldm, "LDM keys");
  check_kl("kl4", VaeDialect::ldm_checkpoint, "first_stage_model.");
  check_kl("kl4", VaeDialect::vae_prefix, "prefix vae.");
  check_kl("kl4", VaeDialect::diffusers, "diffusers keys");
  check_kl("kl4", VaeDialect::diffusers_old, "diffusers keys");
  check_kl("kl16", VaeDialect::ldm, "LDM keys");
  check_kl("kl16", VaeDialect::diffusers, "diffusers keys");
  check_kl("kl_no_attention", VaeDialect::diffusers, "diffusers keys");
}

TEST_CASE("AutoencoderKL at the width of Stable Diffusion equals diffusers'", "[.][full][autoencoder]") {
  check_kl("kl_full", VaeDialect::ldm, "LDM keys");
  check_kl("kl_full", VaeDialect::diffusers, "diffusers keys");
}

TEST_CASE("TAESD equals diffusers' in each of its forms", "[arch][autoencoder]") {
  for (const char* name : {"taesd", "taesd16", "taesd32"}) {
    const auto io = golden(name);
    const std::pair<const char*, AutoencoderNetworks> forms[] = {
        {"one file", open_autoencoder(taesd_weights(*io, -1))},
        {"two files", open_autoencoder(taesd_weights(*io, 0), taesd_weights(*io, 1))},
        {"two files, decoder first", open_autoencoder(taesd_weights(*io, 1), taesd_weights(*io, 0))},
        {"one file of both, prefixed", open_autoencoder(taesd_prefixed(*io))}};
    for (const auto& [form, a] : forms) {
      INFO(name << " " << form);
      CHECK(a.family == "TAESD");
      CHECK(a.latent_c == std::stoi(io->metadata.at("z")));
      const Errors e = errors_of(a, *io);
      CHECK(e.encode < kBound);
      CHECK(e.decode < kBound);
      if (std::getenv("UPS_PRINT_ERRORS"))
        std::cout << name << ", " << a.dialect << ", " << form << ": encoder " << e.encode << ", decoder "
                  << e.decode << '\n';
    }
  }
}

TEST_CASE("the part of a checkpoint that is an autoencoder goes by its prefix", "[arch][autoencoder]") {
  using Names = std::set<std::string, std::less<>>;
  CHECK(autoencoder_part(Names{"first_stage_model.decoder.conv_in.weight", "model.x"}) ==
        "first_stage_model.");
  CHECK(autoencoder_part(Names{"vae.encoder.conv_in.weight", "unet.conv_in.weight"}) == "vae.");
  CHECK(autoencoder_part(Names{"decoder.conv_in.weight", "vae.scale", "first_stage_model.x"}) == "");
  CHECK(autoencoder_part(Names{"1.conv.0.weight"}) == "");
}

TEST_CASE("the scaling factor comes from metadata, from the rest of a checkpoint, or is assumed",
          "[arch][autoencoder]") {
  const auto io = golden("kl4"), io16 = golden("kl16");
  AutoencoderNetworks a = open_autoencoder(vae_weights(*io, VaeDialect::ldm));
  CHECK(a.scaling == 0.18215);
  CHECK(a.origin == "assumed");
  a = open_autoencoder(vae_weights(*io, VaeDialect::ldm_checkpoint));
  CHECK(a.scaling == 0.18215);
  CHECK(a.origin == "checkpoint");
  auto xl = vae_weights(*io, VaeDialect::ldm_checkpoint);
  xl->add_owned("conditioner.embedders.0.x.weight", {1}, {0});
  CHECK(open_autoencoder(xl).scaling == 0.13025);
  auto only_xl = vae_weights(*io, VaeDialect::vae_prefix);
  only_xl->add_owned("conditioner.embedders.0.x.weight", {1}, {0});
  CHECK(open_autoencoder(only_xl).scaling == 0.13025);
  CHECK(open_autoencoder(only_xl).origin == "checkpoint");
  auto part = vae_weights(*io, VaeDialect::ldm_checkpoint);  // of which the rest was not read
  part->unread = {"conditioner.embedders.0.x.weight"};
  CHECK(open_autoencoder(part).scaling == 0.13025);
  CHECK(open_autoencoder(part).origin == "checkpoint");
  auto stated = vae_weights(*io, VaeDialect::diffusers);
  stated->metadata["scaling_factor"] = "0.5", stated->metadata["shift_factor"] = "0.25";
  a = open_autoencoder(stated);
  CHECK(a.scaling == 0.5);
  CHECK(a.shift == 0.25);
  CHECK(a.origin == "metadata");
  for (const auto& [text, shift] : {std::pair("0", 0.0), std::pair("-0.125", -0.125)}) {
    stated->metadata["shift_factor"] = text;
    CHECK(open_autoencoder(stated).shift == shift);
  }
  // What a file states counts even within a checkpoint that says otherwise.
  xl->metadata["scaling_factor"] = "0.75";
  CHECK(open_autoencoder(xl).scaling == 0.75);
  CHECK(open_autoencoder(xl).shift == 0);
  a = open_autoencoder(vae_weights(*io16, VaeDialect::ldm));
  CHECK(a.scaling == 0.3611);
  CHECK(a.shift == 0.1159);
  CHECK(a.origin == "assumed");
  auto flux = vae_weights(*io16, VaeDialect::vae_prefix);
  flux->add_owned("model.diffusion_model.double_blocks.0.x.weight", {1}, {0});
  CHECK(open_autoencoder(flux).scaling == 0.3611);
  CHECK(open_autoencoder(flux).origin == "checkpoint");
  auto sd3 = vae_weights(*io16, VaeDialect::ldm_checkpoint);
  sd3->add_owned("model.diffusion_model.joint_blocks.0.x.weight", {1}, {0});
  CHECK(open_autoencoder(sd3).scaling == 1.5305);
  CHECK(open_autoencoder(sd3).shift == 0.0609);
}

TEST_CASE("an autoencoder file with parts missing or left over is refused", "[arch][autoencoder]") {
  const auto io = golden("kl4");
  auto more = vae_weights(*io, VaeDialect::ldm);
  more->add_owned("decoder.up.0.attn.0.q.weight", {4, 4}, std::vector<float>(16));
  CHECK_THROWS_AS(open_autoencoder(more), Error);
  StateDict all = *vae_weights(*io, VaeDialect::ldm);
  auto less = std::make_shared<StateDict>();
  for (const auto& [key, entry] : all.entries())
    if (key != "decoder.mid.block_2.conv1.bias" && key != "decoder.up.1.block.0.norm2.bias")
      less->add(key, entry);
  CHECK_THROWS_AS(open_autoencoder(less), Error);
  // One half alone is a file of its own.
  auto half = std::make_shared<StateDict>();
  for (const auto& [key, entry] : all.entries())
    if (key[0] == 'd' || key[0] == 'p') half->add(key, entry);
  const AutoencoderNetworks a = open_autoencoder(half);
  CHECK(a.decoder.has_value());
  CHECK(!a.encoder.has_value());
  auto odd = taesd_weights(*golden("taesd"), -1);
  odd->add_owned("decoder.layers.2.pool.1.weight", {64}, std::vector<float>(64));
  CHECK_THROWS_AS(open_autoencoder(odd), Error);
  const auto encoder = taesd_weights(*golden("taesd"), 0);
  CHECK_THROWS_AS(open_autoencoder(encoder, encoder), Error);
  auto nothing = std::make_shared<StateDict>();
  nothing->add_owned("something.weight", {1}, {0});
  CHECK_THROWS_AS(open_autoencoder(nothing), Error);
}
