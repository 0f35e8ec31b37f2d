// Fuzzes the reader of latents with whole files: what it accepts is as large as it says and finite.
#include "runtime/latent.h"

#include <cmath>

#include "tests/fuzz/reach.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return ups::fuzz::run([&] {
    bool raw = false;
    const ups::Latent l = ups::latent_of(ups::read_safetensors(ups::fuzz::input(data, size), "f"), &raw);
    if (l.c < 1 || l.h < 1 || l.w < 1 || l.count() != int64_t(l.v.size()) || size_t(l.count()) > size)
      __builtin_trap();
    if (l.picture.h < 0 || l.picture.w < 0) __builtin_trap();
    for (float v : l.v)
      if (!std::isfinite(v)) __builtin_trap();
  });
}
