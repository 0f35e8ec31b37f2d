// ups_loop, checked, in the library's own terms.
#pragma once

#include "runtime/loop_steps.h"
#include "upscale.h"

namespace ups {

// Error{Code::usage} for values out of their documented range.
LoopRules loop_rules(const ups_loop& given);

}  // namespace ups
