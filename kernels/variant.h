// Choosing among several kernels of one operator: the first that accepts wins.
//
// For tests and measurements UPSCALE_VARIANT=OPERATOR=NAME forces one by name; OPERATOR~NAME takes it where
// it accepts, before all others. Several are separated by commas.
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

// The NAME that UPSCALE_VARIANT gives for this operator after '=' or '~'; empty if none.
inline std::string_view variant_setting(std::string_view operator_name, char sign) {
  const char* setting = std::getenv("UPSCALE_VARIANT");
  std::string_view rest = setting ? setting : "";
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const size_t at = entry.find_first_of("=~");
    if (at != std::string_view::npos && entry[at] == sign && entry.substr(0, at) == operator_name)
      return entry.substr(at + 1);
  }
  return {};
}

inline std::string_view forced_variant(std::string_view operator_name) {
  return variant_setting(operator_name, '=');
}

// Throws Error{Code::device} with every variant's reason if none accepts, or if the forced one does not exist
// or declines.
template <class Op, class Device, class Launch>
const Variant<Op, Device, Launch>& select(std::string_view operator_name,
                                          std::span<const Variant<Op, Device, Launch>> variants, const Op& op,
                                          const Device& device) {
  const std::string_view forced = forced_variant(operator_name),
                         preferred = variant_setting(operator_name, '~');
  std::ostringstream reasons;
  if (!preferred.empty()) {
    const auto named = [&](const auto& variant) { return preferred == variant.name; };
    const auto found = std::find_if(variants.begin(), variants.end(), named);
    if (found == variants.end())
      fail(Code::usage, operator_name, ": UPSCALE_VARIANT: there is no ", preferred);
    if (!found->declines(op, device)) return *found;
  }
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
