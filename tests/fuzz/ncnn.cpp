// Fuzzes the ncnn reader. The input is the .param text; what follows a zero byte is the .bin, or when nothing
// does, zeros (valid fp32 weights) of the size the text asks for, so that mutations of the text reach the
// graph.
#include "weights/ncnn.h"

#include <algorithm>
#include <vector>

#include "tests/fuzz/reach.h"
#include "weights/ncnn_param.h"

namespace {

// Bytes of the fp32 weights that a model asks for, at most `most`.
size_t weight_bytes(std::string_view param, size_t most) {
  int64_t floats = 0;
  for (const ups::ncnn::Layer& layer : ups::ncnn::parse_param(param, "f")) {
    if (layer.type == "Convolution") floats += 1 + int64_t(layer.integer(6, 0)) + layer.integer(0, 0);
    if (layer.type == "PReLU") floats += layer.integer(0, 0);
  }
  return size_t(std::clamp<int64_t>(floats * 4, 0, int64_t(most)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(text.find('\0'), size);
  const std::string_view param = text.substr(0, zero);
  static const std::vector<std::byte> kZeros(1 << 20);
  return fuzz::run([&] {
    const auto bin = zero < size
                         ? fuzz::input(data, size).subspan(zero + 1)
                         : std::span<const std::byte>(kZeros).first(weight_bytes(param, kZeros.size()));
    fuzz::reach(read_ncnn(param, bin, "f"));
  });
}
