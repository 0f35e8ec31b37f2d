// DAT through runtime/backend_cuda.cpp, on emulated kernels or a GPU.
#include "tests/simt/runtime/golden_run.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("DAT through the CUDA backend gives the picture of the reference", "[simt][backend][dat]") {
  for (const GoldenNet& net : golden_nets("dat")) {
    DYNAMIC_SECTION(net.name) {
      for (Precision precision : {Precision::fp32, Precision::bf16}) {
        INFO("precision " << int(precision));
        const Outcome o = run_golden(net, precision, "1");
        // As on the CPU; in bf16 fifty layers round twice each by half a unit of 2^-8, the worst pixel at 5
        // sigma.
        CHECK(o.relative() <= (precision == Precision::fp32 ? 2e-5 : 29 * 0x1p-8));
      }
    }
  }
}
