// DAT through runtime/backend_cuda.cpp, on emulated kernels or a GPU.
#include "runtime/backend_cuda.h"
#include "tests/arch/golden_net.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("DAT through the CUDA backend gives the picture of the reference", "[simt][backend][dat]") {
  for (const GoldenNet& net : golden_nets("dat")) {
    DYNAMIC_SECTION(net.name) {
      const auto io = open_weights(net.io);
      for (Precision precision : {Precision::fp32, Precision::bf16}) {
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
        // As on the CPU; in bf16 fifty layers round twice each by half a unit of 2^-8, the worst pixel at 5
        // sigma.
        CHECK(worst <= (precision == Precision::fp32 ? 2e-5 : 29 * 0x1p-8) * largest);
      }
    }
  }
}
