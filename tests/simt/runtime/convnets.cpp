// EDSR, MDSR, RCAN and SPAN through runtime/backend_cuda.cpp, on emulated kernels or a GPU.
#include "runtime/backend_cuda.h"
#include "tests/arch/golden_net.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("convolutional nets through the CUDA backend give the picture of the reference",
          "[simt][backend][convnets]") {
  int schedule = 0;
  for (const GoldenNet& net : golden_nets("convnets")) {
    DYNAMIC_SECTION(net.name) {
      const auto io = open_weights(net.io);
      for (Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
        take_schedule(schedule++);
        INFO("precision " << int(precision));
        Session session(open_network(open_weights(net.weights)), make_cuda_backend(test_device(), precision));
        const Planes reference = planes(*io, "output1");
        const Planes hr = run_network(session, planes(*io, "input1"));
        REQUIRE(hr.v.size() == reference.v.size());
        double largest = 1, worst = 0;
        for (size_t i = 0; i < hr.v.size(); i++) {
          largest = std::max(largest, std::fabs(double(reference.v[i])));
          const double error = std::fabs(double(hr.v[i]) - reference.v[i]);
          worst = std::max(worst, std::isfinite(error) ? error : 1e9);
        }
        // As for the other golden nets: twenty layers round twice each, weights and activations, by half a
        // unit; the worst pixel is at 5 sigma.
        const double unit = precision == Precision::fp16 ? 29 * 0x1p-11 : 29 * 0x1p-8;
        CHECK(worst <= (precision == Precision::fp32 ? 1e-5 : unit) * largest);
        if (precision != Precision::fp32) CHECK(worst > 0);
        take_schedule(0);
      }
    }
  }
}
