// The weights of a graph as the device kernels read them.
#pragma once

#include <memory>
#include <vector>

#include "kernels/cpu/pool.h"
#include "runtime/graph.h"
#include "runtime/staging_cuda.h"

namespace ups {

// On the host: what is uploaded. Addresses in `list` are offsets plus one block's base.
struct PackedWeights {
  std::vector<Weight> list;  // by Weight::id; pointers relative to 256 (so that none is null)
  std::unique_ptr<char[]> bytes;
  size_t size = 0;
};

// Packs every weight of `graph` in `dtype` (kernels/pack.h), in parallel if there is a pool. Throws
// Error{Code::model} for weights that f16 cannot hold.
// What convolutions may do to be faster (kernels/ops.h Weight).
struct Shortcuts {
  bool tf32 = false, f16_sums = false;
};
PackedWeights pack_weights(const Graph& graph, const StateDict& file, DType dtype, Shortcuts allowed,
                           Pool* pool);

struct DeviceWeights {
  std::vector<Weight> list;  // by Weight::id
  cuda::DeviceMemory memory;
};
DeviceWeights upload_weights(const PackedWeights& packed, Staging& staging, cuda::Stream& stream);

// Replaces the weights an operator names by those on the device.
template <class Operator>
void attach(Operator& op, const std::vector<Weight>& list) {
  if constexpr (requires { op.weights([](Weight&) {}); })
    op.weights([&](Weight& w) {
      if (w.id >= 0) w = list[w.id];
    });
}

}  // namespace ups
