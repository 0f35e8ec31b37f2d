// The whole CUDA path: golden nets through runtime/backend_cuda.cpp, on emulated kernels or a GPU, against
// the outputs of the reference implementation.
#include "tests/simt/runtime/golden_run.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("golden nets through the CUDA backend in fp32 give the picture of the reference",
          "[simt][backend]") {
  for (const GoldenNet& net : golden_nets()) {
    DYNAMIC_SECTION(net.name) {
      const Outcome o = run_golden(net, Precision::fp32);
      // As on the CPU (tests/arch/golden.cpp): a hundred convolutions of at most 100 terms in float.
      CHECK(o.worst <= 1e-5 * std::max(1.0, o.largest));
    }
  }
}

TEST_CASE("golden nets through the CUDA backend in fp16 and bf16 are off by the rounding of storage",
          "[simt][backend]") {
  int schedule = 0;
  for (const GoldenNet& net : golden_nets()) {
    DYNAMIC_SECTION(net.name) {
      take_schedule(schedule++);
      // Weights and activations round by half a unit: uniform, sigma = unit / sqrt(3) with unit 2^-11 (f16)
      // or 2^-8 (bf16). Up to 50 layers round twice each; residual branches are scaled down, so the errors
      // add like a random walk. The worst pixel is at 5 sigma: 5 sqrt(100) / sqrt(3) = 29 units.
      const Outcome half = run_golden(net, Precision::fp16);
      CHECK(half.worst <= 29 * 0x1p-11 * std::max(1.0, half.largest));
      CHECK(half.worst > 0);
      // Partial sums round as often as activations are stored, to units that are smaller by the root of
      // the number of partial sums: at most twice the error.
      const Outcome sums = run_golden(net, Precision::fp16_sums);
      CHECK(sums.worst <= 2 * 29 * 0x1p-11 * std::max(1.0, sums.largest));
      // tf32 rounds factors to 2^-11 but stores in full: at most what fp16 does.
      const Outcome tf32 = run_golden(net, Precision::tf32);
      CHECK(tf32.worst <= 29 * 0x1p-11 * std::max(1.0, tf32.largest));
      const Outcome bf16 = run_golden(net, Precision::bf16);
      CHECK(bf16.worst <= 29 * 0x1p-8 * std::max(1.0, bf16.largest));
      take_schedule(0);
    }
  }
}
