// Every public entry of kernels/cpu calls isa_ready() before its first HWY_DYNAMIC_DISPATCH.
#pragma once

namespace ups::cpu {

// Applies UPSCALE_ISA once per process; throws Error{Code::usage} if it names no available ISA.
void isa_ready();

}  // namespace ups::cpu
