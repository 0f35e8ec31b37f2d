// How PyTorch spells tensors in a pickle, and how such a tensor becomes an Entry.
#pragma once

#include <map>

#include "weights/pickle.h"
#include "weights/pickle_global.h"

namespace ups::pickle {

// The storage of a persistent id tuple; `type` is what its second item names, if a global.
Storage describe_storage(const Pickle& p, std::span<const Id> args, const Global* type,
                         const std::string& who);

// The view of _rebuild_tensor(storage, offset, size, stride, ...); `dtype` is the seventh argument of v3.
TensorView rebuild_tensor(const Pickle& p, std::span<const Id> args, bool v3, const Global* dtype,
                          const std::string& who);

// The tensors of the state dict in `p`, inside its training wrappers, by name. Other values are skipped.
// Throws Error{Code::model} when there are none.
std::map<std::string, const TensorView*> find_state_dict(const Pickle& p, const std::string& who);

// Adds the viewed tensor to `out`: as a view of `storage` when contiguous, gathered otherwise. `storage` is
// the whole root storage. `gather_budget` is the number of bytes that may still be gathered; it is reduced.
void add_tensor(StateDict& out, const std::string& key, const TensorView& view, const Storage& description,
                std::span<const std::byte> storage, uint64_t& gather_budget);

}  // namespace ups::pickle
