// The CUDA backend. Only in builds with CUDA kernels (and in the emulator tests).
#pragma once

#include <memory>

#include "kernels/cpu/pool.h"
#include "kernels/device/stream.h"
#include "runtime/backend.h"
#include "runtime/device.h"

namespace ups {

// pool (may be null): packs weights.
std::unique_ptr<Backend> make_cuda_backend(const cuda::DeviceInfo& device, Precision precision,
                                           Pool* pool = nullptr);

}  // namespace ups
