// Removal of training wrappers from key names. The order of preference is that of the loaders in common use.
#include "weights/unwrap.h"

#include <algorithm>

namespace ups {
namespace {

constexpr std::string_view kWrapperKeys[] = {
    "model_state_dict", "state_dict", "params_ema", "params-ema", "params", "model", "net", "g_ema", "ema",
    "generator",        "net_g",      "weights",
};
constexpr std::string_view kPrefixes[] = {
    "module.", "netG.",       "net_g.",     "_orig_mod.", "params_ema.",
    "params.", "state_dict.", "generator.", "model.",
};

bool all_have(const StateDict& weights, std::string_view prefix) {
  return std::all_of(weights.entries().begin(), weights.entries().end(), [&](const auto& item) {
    const std::string_view key = item.first;
    if (key.size() <= prefix.size() || key.substr(0, prefix.size()) != prefix) return false;
    const char next = key[prefix.size()];
    return prefix != "model." || next < '0' || next > '9';
  });
}

}  // namespace

std::span<const std::string_view> wrapper_keys() { return kWrapperKeys; }

StateDict strip_prefixes(StateDict weights) {
  if (weights.entries().empty()) return weights;
  // Wrappers nest at most a few deep; the bound keeps a hostile name from costing a pass per prefix in it.
  for (int depth = 0; depth < 8; ++depth) {
    const auto* prefix = std::find_if(std::begin(kPrefixes), std::end(kPrefixes),
                                      [&](std::string_view p) { return all_have(weights, p); });
    if (prefix == std::end(kPrefixes)) break;
    const StateDict::Map wrapped = weights.entries();
    weights.clear_entries();
    for (const auto& [key, entry] : wrapped) weights.add(key.substr(prefix->size()), entry);
  }
  return weights;
}

}  // namespace ups
