// The processor's fp32 multiply-add rate on one core, measured.
#pragma once

namespace ups::bench {

// GFLOP/s of independent vector multiply-adds in registers, best of several runs, with the ISA in use.
double fma_peak_gflops();

}  // namespace ups::bench
