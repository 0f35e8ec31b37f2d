// A restricted reader of Python pickles: it rebuilds plain values and descriptions of PyTorch tensors, and
// never imports, calls or executes anything.
//
// Values live in one flat vector and refer to each other by index, so shared or nested values cost nothing
// extra and memory is linear in the number of opcodes. Globals beyond the tensor vocabulary become inert
// values when they are on the list of harmless ones (optimizer state, NumPy scalars, training callbacks) and
// are refused by name otherwise: see pickle_global.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/state_dict.h"

namespace ups::pickle {

using Id = uint32_t;  // index into Pickle::nodes

enum class Kind : uint8_t {
  none,
  boolean,
  integer,
  real,
  string,
  tuple,
  list,
  dict,
  global,
  storage,
  tensor,
  inert
};

struct Node {
  Kind kind = Kind::none;
  int64_t integer = 0;    // boolean, integer; index of a storage, tensor or global
  double real = 0;        // real
  std::string_view text;  // string: a view into the pickle
  std::vector<Id> items;  // tuple, list; dict: key, value, key, value, ... in order of insertion
};

// ('storage', type, key, location, numel[, view]) of a persistent id.
struct Storage {
  std::string_view key;
  Element element = Element::u8;  // u8 when untyped: numel is then in bytes
  int64_t numel = 0;              // elements of the root storage
  int64_t view_offset = 0;  // legacy view_metadata: this storage is [offset, offset + numel) of the root
  std::optional<int64_t> view_numel;
};

// Arguments of torch._utils._rebuild_tensor*: a strided view of a storage, all in elements.
struct TensorView {
  size_t storage = 0;
  Element element = Element::f32;
  int64_t offset = 0;
  std::vector<int64_t> sizes, strides;  // equally long, at most 8, non-negative
};

struct Pickle {
  std::vector<Node> nodes;
  std::vector<Storage> storages;
  std::vector<TensorView> tensors;
  Id root = 0;
  size_t consumed = 0;  // bytes up to and including STOP
  const Node& operator[](Id id) const { return nodes[id]; }
};

// Reads one pickle from the start of `bytes`, which must outlive the result. `who` names the file in
// messages. Throws Error{Code::model} on anything malformed, beyond the limits, or foreign.
Pickle read(std::span<const std::byte> bytes, const std::string& who);

}  // namespace ups::pickle
