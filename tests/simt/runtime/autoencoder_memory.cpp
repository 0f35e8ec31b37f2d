// Autoencoders on a device: precisions, what happens when one overflows, and memory limits.
#include <algorithm>

#include "kernels/error.h"
#include "runtime/autoencoder.h"
#include "runtime/backend_cuda.h"
#include "tests/arch/vae_net.h"
#include "tests/simt/emulator_test.h"

using namespace ups;
using namespace ups::testing;

namespace {

Pool& pool() {
  static Pool p(1);
  return p;
}

// A golden AutoencoderKL; its first convolution times `gain`, which the first normalisation takes out again.
AutoencoderNetworks golden(const char* name, float gain = 1) {
  const auto io = open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
  auto w = std::make_shared<StateDict>();
  w->source = "golden";
  for (const VaeKey& k : vae_keys(*io)) {
    std::vector<float> values = vae_values(k.source, k.shape);
    if (k.diffusers.compare(0, 16, "decoder.conv_in.") == 0)
      for (float& v : values) v *= gain;
    w->add_owned(k.diffusers, k.shape, values);
  }
  return open_autoencoder(w);
}

Autoencoder on_device(const char* name, Precision precision, float gain = 1) {
  return {[=] { return golden(name, gain); },
          [=] { return make_cuda_backend(cuda::devices().front(), precision); }, pool()};
}

Latent some_latent(int c, int h, int w) {
  Latent l;
  l.c = c, l.h = h, l.w = w;
  for (int64_t i = 0; i < l.count(); i++) l.v.push_back(std::sin(float(i) * 0.7f) * 0.2f);
  return l;
}

std::vector<float> decoded(Autoencoder& a, const Latent& l) {
  const int f = a.networks().factor;
  std::vector<float> rgb(size_t(l.h) * f * l.w * f * 3);
  a.decode(l, rgb.data(), {});
  return rgb;
}

double psnr(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) {
    const double d = std::clamp(a[i], 0.0f, 1.0f) - double(std::clamp(b[i], 0.0f, 1.0f));
    sum += d * d;
  }
  return sum == 0 ? 999 : -10 * std::log10(sum / double(a.size()));
}

double relative(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < a.size(); i++)
    worst = std::max(worst, std::abs(double(a[i]) - b[i])),
    largest = std::max(largest, double(std::abs(b[i])));
  return worst / largest;
}

}  // namespace

TEST_CASE("decoding in half precision stays close to fp32", "[simt][autoencoder]") {
  const Latent l = some_latent(4, 5, 7);
  Autoencoder exact = on_device("kl4", Precision::fp32);
  const auto want = decoded(exact, l);
  Autoencoder bf16 = on_device("kl4", Precision::bf16), fp16 = on_device("kl4", Precision::fp16);
  const double bf16_db = psnr(decoded(bf16, l), want), fp16_db = psnr(decoded(fp16, l), want);
  // Some 50 roundings of half a unit at random, of values of the size of the picture's: 2^-9 sqrt(50 / 3) of
  // its deviation, about 1/4 of the range, in bf16; three bits less in fp16.
  INFO("bf16 " << bf16_db << " dB, fp16 " << fp16_db << " dB");
  CHECK(bf16_db > 40);
  CHECK(fp16_db > 58);
}

TEST_CASE("a decoder that overflows is run again in a safer precision", "[simt][autoencoder]") {
  const Latent l = some_latent(4, 4, 5);
  Autoencoder exact = on_device("kl4", Precision::fp32, 3e5f);
  const auto want = decoded(exact, l);
  Autoencoder fp16 = on_device("kl4", Precision::automatic, 3e5f);
  CHECK(psnr(decoded(fp16, l), want) > 40);
  Autoencoder limited = on_device("kl4", Precision::automatic, 3e5f);
  limited.set_budget(int64_t(64) << 20);
  CHECK(psnr(decoded(limited, l), want) > 40);
}

TEST_CASE("decoding on a device stays within its limit, by strips and then by memory of the host",
          "[simt][autoencoder]") {
  const Latent l = some_latent(4, 24, 6);
  Autoencoder free = on_device("kl4", Precision::bf16);
  const auto want = decoded(free, l);
  CHECK_FALSE(free.spilled());
  const int64_t all = free.working_bytes();
  const auto under = [&](int64_t limit) {
    Autoencoder a = on_device("kl4", Precision::bf16);
    a.set_budget(limit);
    simt::set_memory_limit(0);
    const size_t before = simt::peak_memory();
    const auto got = decoded(a, l);
    CHECK(int64_t(simt::peak_memory() - before) <= limit);
    CHECK(a.working_bytes() <= limit);
    // Other strips, other orders of the sums of statistics: now and then a value rounds the other way.
    CHECK(relative(got, want) < 21 * 0x1p-8);
    return a.spilled();
  };
  INFO("without a limit " << all);
  CHECK_FALSE(under(all));
  CHECK_FALSE(under(all - (int64_t(64) << 10)));
  CHECK(under(int64_t(4) << 20));
  Autoencoder none = on_device("kl4", Precision::bf16);
  none.set_budget(1 << 20);
  CHECK_THROWS_AS(decoded(none, l), Error);
}
