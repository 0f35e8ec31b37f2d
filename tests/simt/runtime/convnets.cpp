// EDSR, MDSR, RCAN and SPAN through runtime/backend_cuda.cpp, on emulated kernels or a GPU.
#include "tests/simt/runtime/golden_run.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("convolutional nets through the CUDA backend give the picture of the reference",
          "[simt][backend][convnets]") {
  int schedule = 0;
  for (const GoldenNet& net : golden_nets("convnets")) {
    DYNAMIC_SECTION(net.name) {
      for (Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
        take_schedule(schedule++);
        INFO("precision " << int(precision));
        const Outcome o = run_golden(net, precision, "1");
        // As for the other golden nets: twenty layers round twice each, weights and activations, by half a
        // unit; the worst pixel is at 5 sigma.
        const double unit = precision == Precision::fp16 ? 29 * 0x1p-11 : 29 * 0x1p-8;
        CHECK(o.relative() <= (precision == Precision::fp32 ? 1e-5 : unit));
        if (precision != Precision::fp32) CHECK(o.worst > 0);
        take_schedule(0);
      }
    }
  }
}
