// What training scripts wrap around a state dict: names of enclosing dictionaries and common key prefixes.
#pragma once

#include <span>
#include <string_view>

#include "weights/state_dict.h"

namespace ups {

// Keys under which training scripts store the state dict, in order of preference: smoothed weights
// (params_ema) before raw ones, as the official Real-ESRGAN tool chooses.
std::span<const std::string_view> wrapper_keys();

// Removes prefixes that all keys share ("module.", "netG.", "params_ema." ...), repeatedly. "model." is kept
// when an index follows: keys of the original ESRGAN are "model.0.weight", "model.1.sub.0..." by themselves.
StateDict strip_prefixes(StateDict weights);

}  // namespace ups
