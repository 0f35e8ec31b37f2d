// What the narrower types cost on a released network and a photograph, without a GPU. Hidden, minutes long:
//   UPS_WEIGHTS=video.safetensors UPS_PICTURE=crop.safetensors test_simt "[released]"
// As a Hopper GPU would run it if UPS_HOPPER is set; UPSCALE_VARIANT chooses kernels (kernels/variant.h).
// UPS_PICTURE holds "input", f32 [1, 3, h, w], values 0..1.
#include <cstdlib>
#include <iostream>

#include "runtime/backend_cuda.h"
#include "tests/arch/golden_net.h"
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("fp16, with sums in f32 and in f16, is at least 50 dB and at most 4 of 255 from fp32",
          "[.][released]") {
  const char *weights = std::getenv("UPS_WEIGHTS"), *picture = std::getenv("UPS_PICTURE");
  REQUIRE((weights && picture));
  const Planes lr = planes(*open_weights(picture), "input");
  const cuda::DeviceInfo device = std::getenv("UPS_HOPPER") ? hopper() : test_device();
  const auto run = [&](Precision precision) {
    Session session(open_network(open_weights(weights)), make_cuda_backend(device, precision));
    return run_network(session, lr);
  };
  const Planes exact = run(Precision::fp32);
  for (const Precision precision : {Precision::fp16, Precision::fp16_sums}) {
    const Planes hr = run(precision);
    double sum = 0, worst = 0;
    for (size_t i = 0; i < hr.v.size(); i++) {
      const double d =
          std::abs(std::clamp(double(hr.v[i]), 0.0, 1.0) - std::clamp(double(exact.v[i]), 0.0, 1.0));
      sum += d * d, worst = std::max(worst, d);
    }
    const double db = -10 * std::log10(std::max(sum / double(hr.v.size()), 1e-20));
    std::cout << (precision == Precision::fp16 ? "f32" : "f16") << " sums: " << db << " dB, worst "
              << 255 * worst << "/255" << std::endl;
    CHECK(db >= 50);
    CHECK(255 * worst <= 4);
    CHECK(db < 150);  // not the same path twice
  }
}
