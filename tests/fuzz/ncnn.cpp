// Fuzzes the ncnn reader. The input is the .param text; what follows a zero byte is the .bin, or a run of
// zeros (valid fp32 weights) when nothing does.
#include "weights/ncnn.h"

#include <algorithm>
#include <vector>

#include "tests/fuzz/reach.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(text.find('\0'), size);
  static const std::vector<std::byte> kZeros(1 << 16);
  auto bin = std::span<const std::byte>(kZeros);
  if (zero < size) bin = fuzz::input(data, size).subspan(zero + 1);
  return fuzz::run([&] { fuzz::reach(read_ncnn(text.substr(0, zero), bin, "f")); });
}
