// What the fuzz targets share: touching every byte a reader returned, so a view outside its memory is met.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/error.h"
#include "weights/state_dict.h"

namespace ups::fuzz {

inline std::span<const std::byte> input(const uint8_t* data, size_t size) {
  return std::as_bytes(std::span(data, size));
}

inline void reach(const StateDict& weights) {
  volatile uint8_t sink = 0;
  for (const auto& [key, entry] : weights.entries()) {
    if (entry.count() * element_bytes(entry.element) != int64_t(entry.bytes.size())) __builtin_trap();
    for (std::byte b : entry.bytes) sink = sink ^ uint8_t(b);
  }
}

// Runs one reader: it returns, or throws Error with Code::model; anything else is a finding.
template <class F>
int run(F reader) {
  try {
    reader();
  } catch (const Error& error) {
    if (error.code != Code::model) __builtin_trap();
  }
  return 0;
}

}  // namespace ups::fuzz
