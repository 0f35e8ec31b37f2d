// How planted bugs are launched: blocks of 128 threads on the emulated device.
#pragma once

#include "kernels/device/device.cuh"
#include "tests/simt/emulator_test.h"

namespace ups::testing {

constexpr int kThreads = 128;

inline cuda::Stream& planted_stream() {
  static cuda::Stream s(cuda::devices().front());
  return s;
}

template <class... P, class... A>
void launch_blocks(unsigned blocks, void (*kernel)(P...), size_t smem_bytes, A... args) {
  cuda::launch(kernel,
               {.grid = {blocks}, .block = kThreads, .smem_bytes = smem_bytes, .stream = &planted_stream()},
               args...);
}

}  // namespace ups::testing
