// Linear interpolation of two networks of one architecture: every tensor between its two versions (network
// interpolation, Wang et al. 2019).
#pragma once

#include <memory>

#include "weights/state_dict.h"

namespace ups {

// (1 - share) * a + share * b for every floating tensor, computed in double and kept as f32; integers, and
// the metadata, are a's. Error{Code::model} unless both have the same keys and shapes; Error{Code::usage} for
// a share outside of 0..1.
std::shared_ptr<const StateDict> mixed(std::shared_ptr<const StateDict> a, const StateDict& b, double share);

}  // namespace ups
