// ncnn models (.param text and .bin weights) of the networks people export with it: RRDBNet and Compact.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "weights/state_dict.h"

namespace ups {

// Weights under the key names of the PyTorch network (conv_first, body.0.rdb1.conv1 ...; body.0, body.1 ...).
// The graph is compared with the network's own, so a model with anything unexpected in it is refused.
// fp16 weights stay f16. Zero-copy: entries view `bin`, which must outlive the result.
//
// metadata: "act" = "prelu", "relu" or "leakyrelu" (with "act_slope") for Compact, whose keys do not tell the
// last two; "default_scale" = "2" when the file resizes the network's x4 output by half, and so on.
//
// Throws Error{Code::model}.
StateDict read_ncnn(std::string_view param, std::span<const std::byte> bin, const std::string& name);

}  // namespace ups
