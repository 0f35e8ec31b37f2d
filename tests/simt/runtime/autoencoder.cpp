// Autoencoders through the CUDA backend on emulated kernels, against diffusers' outputs: every operator of
// theirs runs on a device.
#include "runtime/backend_cuda.h"
#include "tests/arch/vae_net.h"
#include "tests/simt/emulator_test.h"
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

// Largest error of both halves over the largest reference value.
double error_of(const char* name, Precision precision, const cuda::DeviceInfo& device) {
  const auto io = open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
  const AutoencoderNetworks a = open_autoencoder(vae_weights(*io, VaeDialect::diffusers));
  auto run = [&](const Network& network, const Planes& in, const Planes& want, float scale, float shift) {
    Session session(network, make_cuda_backend(device, precision));
    const Planes got = run_half(session, in);
    REQUIRE(got.v.size() == want.v.size());
    double worst = 0, largest = 0;
    for (size_t i = 0; i < got.v.size(); i++) {
      REQUIRE(std::isfinite(got.v[i]));
      worst = std::max(worst, std::fabs(double(got.v[i]) * scale + shift - want.v[i]));
      largest = std::max(largest, std::fabs(double(want.v[i])));
    }
    return worst / largest;
  };
  Planes image = planes(*io, "image");
  for (float& v : image.v) v = 2 * v - 1;
  return std::max(run(*a.encoder, image, planes(*io, "moments"), 1, 0),
                  run(*a.decoder, planes(*io, "latent"), planes(*io, "decoded"), 0.5f, 0.5f));
}

// The same of TAESD, of whose conventions the networks are relieved here.
double taesd_error(const char* name) {
  const auto io = open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
  const AutoencoderNetworks a = open_autoencoder(taesd_weights(*io, -1));
  Planes latent = planes(*io, "latent");
  for (float& v : latent.v) v = std::tanh(v / 3) * 3;
  Session session(*a.decoder, make_cuda_backend(cuda::devices().front(), Precision::fp32));
  const Planes got = run_half(session, latent), want = planes(*io, "decoded");
  REQUIRE(got.v.size() == want.v.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < got.v.size(); i++) {
    REQUIRE(std::isfinite(got.v[i]));
    worst = std::max(worst, std::fabs(double(got.v[i]) - want.v[i]));
    largest = std::max(largest, std::fabs(double(want.v[i])));
  }
  return worst / largest;
}

}  // namespace

TEST_CASE("autoencoders through the CUDA backend give the numbers of the reference", "[simt][autoencoder]") {
  // As on the CPU (tests/arch/autoencoder.cpp).
  const cuda::DeviceInfo& device = test_device();
  for (const char* name : {"kl16", "kl4"}) CHECK(error_of(name, Precision::fp32, device) < 2e-5);
  CHECK(taesd_error("taesd32") < 2e-5);  // a normalisation with ReLU
  // Storage rounds by half a unit of 2^-8, some fifty times on the way, at random: 5 sqrt(50) / sqrt(3)
  // units.
  for (const cuda::DeviceInfo& d : {device, hopper()}) {
    const double rounded = error_of("kl_no_attention", Precision::bf16, d);
    CHECK(rounded < 21 * 0x1p-8);
    CHECK(rounded > 0);
  }
}
