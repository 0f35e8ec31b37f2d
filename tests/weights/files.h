// What the tests of the weight readers share: golden files, raw bytes, and the sentence of an error.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "weights/state_dict.h"

namespace ups::testing {

inline std::string golden(const std::string& name) { return std::string(UPS_GOLDEN) + "/weights/" + name; }

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), std::streamsize(text.size()));
}
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// The sentence with which `f` fails, "" when it does not.
template <class F>
std::string sentence(F f, Code code = Code::model) {
  try {
    f();
  } catch (const Error& error) {
    if (error.code != code) return "wrong code " + std::to_string(int(error.code)) + ": " + error.what();
    return error.what();
  }
  return "";
}

}  // namespace ups::testing
