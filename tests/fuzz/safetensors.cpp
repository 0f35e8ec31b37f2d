// Fuzzes the safetensors reader with whole files.
#include "weights/safetensors.h"

#include "tests/fuzz/reach.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return ups::fuzz::run([&] { ups::fuzz::reach(ups::read_safetensors(ups::fuzz::input(data, size), "f")); });
}
