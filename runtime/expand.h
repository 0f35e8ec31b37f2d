// The operators of a graph as a backend wants them: composite ones whole or as their parts.
#pragma once

#include <functional>
#include <vector>

#include "runtime/graph.h"

namespace ups {

// Whether a backend has a kernel for all of a composite operator (kernels/sublayer_ops.h, or a convolution
// with a shortcut). Its weights have shapes, but no data. Null: for none.
using Whole = std::function<bool(const Op<Value>&)>;

struct Expanded {
  std::vector<Op<Value>> ops;
  std::vector<Graph::ValueInfo> values;  // those of the graph, then what the parts pass among themselves
};
Expanded expand(const Graph& graph, const Whole& whole);

}  // namespace ups
