// The strict loading rule of PyTorch: a file that lacks a tensor, or holds one the network does not use, is
// not this network.
#pragma once

#include <string>
#include <vector>

#include "runtime/model.h"

namespace ups {

// The network that `build` makes of `weights`, all of whose tensors it uses. Its default scale is what the
// metadata state. parameters: as Network has it. Throws as below.
Network strict_network(Info info, std::function<Value(Graph&, Value lr)> build,
                       std::shared_ptr<const StateDict> weights, int64_t parameters = 0);

// Builds the graphs of networks that share one file once, and compares its keys that begin with one of the
// prefixes. Throws Error{Code::model} naming the missing, misshapen or unused key.
// Integer tensors and scalars (counters of training frameworks) may be left over.
void expect_every_tensor_used(const std::vector<const Network*>& networks,
                              const std::vector<std::string>& prefixes);

}  // namespace ups
