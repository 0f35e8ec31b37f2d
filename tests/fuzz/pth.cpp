// Fuzzes both PyTorch containers with whole files. Zip checksums are part of the input, so mutations of the
// pickle inside mostly stop there: the pickle target reaches further.
#include "weights/pth.h"

#include "tests/fuzz/reach.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = ups::fuzz::input(data, size);
  return ups::fuzz::run([&] {
    ups::fuzz::reach(ups::is_pth_legacy(file) ? ups::read_pth_legacy(file, "f")
                                              : ups::read_pth_zip(file, "f"));
  });
}
