// Choosing among several kernels of one operator: the first that accepts wins.
//
// UPSCALE_VARIANT=OPERATOR=NAME (several separated by commas) forces one by name, for tests and measurements.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string_view>

#include "kernels/error.h"

namespace ups {

// Device is what the choice may depend on; Launch is the kernel's host function.
template <class Op, class Device, class Launch>
struct Variant {
  const char* name;
  // Null: accepts; otherwise why not, as the end of a sentence. Pure: depends on its arguments only.
  const char* (*declines)(const Op&, const Device&);
  Launch launch;
};

// The NAME that UPSCALE_VARIANT gives for this operator; empty if none.
inline std::string_view forced_variant(std::string_view operator_name) {
  const char* setting = std::getenv("UPSCALE_VARIANT");
  std::string_view rest = setting ? setting : "";
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const size_t equals = entry.find('=');
    if (equals != std::string_view::npos && entry.substr(0, equals) == operator_name)
      return entry.substr(equals + 1);
  }
  return {};
}

// Throws Error{Code::device} with every variant's reason if none accepts, or if the forced one does not exist
// or declines.
template <class Op, class Device, class Launch>
const Variant<Op, Device, Launch>& select(std::string_view operator_name,
                                          std::span<const Variant<Op, Device, Launch>> variants, const Op& op,
                                          const Device& device) {
  const std::string_view forced = forced_variant(operator_name);
  std::ostringstream reasons;
  for (const auto& variant : variants) {
    if (!forced.empty() && forced != variant.name) continue;
    const char* reason = variant.declines(op, device);
    if (!reason) return variant;
    reasons << (reasons.tellp() > 0 ? "; " : "") << variant.name << " " << reason;
  }
  if (forced.empty()) fail(Code::device, operator_name, ": no variant accepts: ", reasons.str());
  if (reasons.tellp() > 0)
    fail(Code::usage, operator_name, ": UPSCALE_VARIANT forces ", forced,
         ", which declines: ", reasons.str());
  for (const auto& variant : variants) reasons << (reasons.tellp() > 0 ? ", " : "") << variant.name;
  fail(Code::usage, operator_name, ": UPSCALE_VARIANT forces ", forced, ", expected one of ", reasons.str());
}

}  // namespace ups
