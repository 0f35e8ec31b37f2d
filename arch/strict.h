// The strict loading rule of PyTorch: a file that lacks a tensor, or holds one the network does not use, is
// not this network.
#pragma once

#include <string>
#include <vector>

#include "runtime/model.h"

namespace ups {

// Builds the graph once and compares. Throws Error{Code::model} naming the missing, misshapen or unused key.
// Integer tensors and scalars (counters of training frameworks) may be left over.
void expect_every_tensor_used(const Network& network);

// The same of networks that share one file, for its keys that begin with one of the prefixes.
void expect_every_tensor_used(const std::vector<const Network*>& networks,
                              const std::vector<std::string>& prefixes);

}  // namespace ups
