// Hand-made pickles: opcodes with their operands, and a tensor as torch.save describes it.
#pragma once

#include <cstdint>
#include <string>

namespace ups::testing {

using namespace std::string_literals;

inline std::string u32(uint32_t n) { return {char(n), char(n >> 8), char(n >> 16), char(n >> 24)}; }
inline std::string text(const std::string& s) { return "X"s + u32(uint32_t(s.size())) + s; }
inline std::string integer(int32_t n) { return "J"s + u32(uint32_t(n)); }

// ('storage', torch.FloatStorage, '0', 'cpu', numel) as a persistent id.
inline std::string storage(const std::string& numel) {
  return "("s + text("storage") + "ctorch\nFloatStorage\n"s + text("0") + text("cpu") + numel + "tQ";
}
inline std::string tensor(const std::string& sizes, const std::string& strides,
                          const std::string& offset = integer(0)) {
  return "ctorch._utils\n_rebuild_tensor_v2\n("s + storage(integer(6)) + offset + "("s + sizes + "t("s +
         strides + "t\x89}tR";
}

}  // namespace ups::testing
