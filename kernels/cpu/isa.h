// Which SIMD instruction set the CPU kernels use in this process.
#pragma once

#include <string>
#include <vector>

namespace ups::cpu {

// Names as the user types them in UPSCALE_ISA: "baseline", "avx2", "avx512", "neon".
std::string isa_name();                    // the one in use
std::vector<std::string> isa_available();  // compiled in and supported by this processor, best first
// Forces one of isa_available() for this process; throws Error{Code::usage} for any other name. Call before
// the first kernel runs (tests call it between runs on one thread).
void isa_force(const std::string& name);

}  // namespace ups::cpu
