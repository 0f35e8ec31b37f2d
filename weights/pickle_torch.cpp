// Storages, strided views and state dicts of PyTorch pickles.
#include "weights/pickle_torch.h"

#include <cstring>
#include <limits>

#include "kernels/error.h"
#include "weights/element.h"
#include "weights/unwrap.h"

namespace ups::pickle {
namespace {

constexpr size_t kMaxDimensions = 8;
constexpr int kMaxWrappers = 8;

int64_t size_argument(const Pickle& p, Id id, const char* what, const std::string& who) {
  check(p[id].kind == Kind::integer && p[id].integer >= 0, Code::model, who, ": a tensor has a ", what,
        " that is not a non-negative integer");
  return p[id].integer;
}

std::vector<int64_t> size_tuple(const Pickle& p, Id id, const char* what, const std::string& who) {
  const Node& tuple = p[id];
  check(tuple.kind == Kind::tuple || tuple.kind == Kind::list, Code::model, who, ": a tensor has a ", what,
        " that is not a tuple");
  check(tuple.items.size() <= kMaxDimensions, Code::model, who, ": a tensor has ", tuple.items.size(),
        " dimensions, expected at most ", kMaxDimensions);
  std::vector<int64_t> sizes;
  for (Id item : tuple.items) sizes.push_back(size_argument(p, item, what, who));
  return sizes;
}

// The value of a string key in a dict; the last one counts, as in Python.
const Node* lookup(const Pickle& p, const Node& dict, std::string_view key) {
  for (size_t i = dict.items.size(); i >= 2; i -= 2)
    if (p[dict.items[i - 2]].kind == Kind::string && p[dict.items[i - 2]].text == key)
      return &p[dict.items[i - 1]];
  return nullptr;
}

const Node* inner_dict(const Pickle& p, const Node& dict) {
  for (std::string_view key : wrapper_keys()) {
    const Node* value = lookup(p, dict, key);
    if (value && value->kind == Kind::dict) return value;
  }
  if (dict.items.size() == 2 && p[dict.items[1]].kind == Kind::dict) return &p[dict.items[1]];
  return nullptr;
}

// Multiplies, saturating at the largest value.
int64_t product(int64_t a, int64_t b) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return b != 0 && a > kMax / b ? kMax : a * b;
}
int64_t sum(int64_t a, int64_t b) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return a > kMax - b ? kMax : a + b;
}

bool is_contiguous(const TensorView& view) {
  int64_t expected = 1;
  for (size_t i = view.sizes.size(); i-- > 0;) {
    if (view.sizes[i] != 1 && view.strides[i] != expected) return false;
    expected = product(expected, view.sizes[i]);
  }
  return true;
}

// Copies a strided view to packed row-major order. Bounds were checked by the caller.
void gather(const TensorView& view, const std::byte* storage, size_t element, std::byte* out) {
  const size_t dims = view.sizes.size();
  std::vector<int64_t> index(dims, 0);
  int64_t from = view.offset;
  for (;;) {
    std::memcpy(out, storage + size_t(from) * element, element);
    out += element;
    size_t d = dims;
    while (d-- > 0) {
      from += view.strides[d];
      if (++index[d] < view.sizes[d]) break;
      from -= view.strides[d] * view.sizes[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (dims == 0) return;
  }
}

}  // namespace

Storage describe_storage(const Pickle& p, std::span<const Id> args, const Global* type,
                         const std::string& who) {
  check((args.size() == 5 || args.size() == 6) && p[args[0]].text == "storage", Code::model, who,
        ": a persistent id has ", args.size(), " items, expected ('storage', type, key, location, numel)");
  check(type && type->role == Global::Role::storage, Code::model, who,
        ": a storage has a type that is not one of PyTorch's storage types");
  Storage storage;
  storage.element = type->element;
  check(p[args[2]].kind == Kind::string, Code::model, who, ": a storage has a key that is not a string");
  storage.key = p[args[2]].text;
  storage.numel = size_argument(p, args[4], "storage size", who);
  if (args.size() == 6 && p[args[5]].kind != Kind::none) {
    const Node& view = p[args[5]];
    check(view.kind == Kind::tuple && view.items.size() == 3, Code::model, who,
          ": a storage view is not (key, offset, size)");
    storage.view_offset = size_argument(p, view.items[1], "storage view offset", who);
    storage.view_numel = size_argument(p, view.items[2], "storage view size", who);
  }
  return storage;
}

TensorView rebuild_tensor(const Pickle& p, std::span<const Id> args, bool v3, const Global* dtype,
                          const std::string& who) {
  check(args.size() >= 4, Code::model, who, ": a tensor is rebuilt from ", args.size(),
        " arguments, expected at least 4");
  check(p[args[0]].kind == Kind::storage, Code::model, who,
        ": a tensor is rebuilt from something that is not "
        "a storage");
  TensorView view;
  view.storage = size_t(p[args[0]].integer);
  view.element = p.storages[view.storage].element;
  if (v3) {
    check(dtype && dtype->role == Global::Role::dtype, Code::model, who,
          ": a tensor has a dtype other than floating point of 16 to 64 bits, integer or bool");
    view.element = dtype->element;
  }
  view.offset = size_argument(p, args[1], "storage offset", who);
  view.sizes = size_tuple(p, args[2], "size", who);
  view.strides = size_tuple(p, args[3], "stride", who);
  check(view.sizes.size() == view.strides.size(), Code::model, who, ": a tensor has ", view.sizes.size(),
        " sizes and ", view.strides.size(), " strides");
  return view;
}

std::map<std::string, const TensorView*> find_state_dict(const Pickle& p, const std::string& who) {
  const Node* dict = &p[p.root];
  check(dict->kind == Kind::dict, Code::model, who, ": the file holds a ",
        dict->kind == Kind::tensor ? "single tensor" : "value that is not a dictionary",
        ", expected a state_dict");
  for (int depth = 0; depth < kMaxWrappers; ++depth) {
    const Node* inner = inner_dict(p, *dict);
    if (!inner) break;
    dict = inner;
  }
  std::map<std::string, const TensorView*> tensors;
  for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
    const Node &key = p[dict->items[i]], &value = p[dict->items[i + 1]];
    if (key.kind == Kind::string && value.kind == Kind::tensor)
      tensors[std::string(key.text)] = &p.tensors[size_t(value.integer)];
  }
  check(!tensors.empty(), Code::model, who, ": the file holds no tensors, expected a state_dict");
  return tensors;
}

void add_tensor(StateDict& out, const std::string& key, const TensorView& view, const Storage& description,
                std::span<const std::byte> storage, uint64_t& gather_budget) {
  const std::string who = out.source + ": weight '" + key + "'";
  const auto element = int64_t(element_bytes(view.element));
  int64_t available = int64_t(storage.size()) / element;  // elements of this view's type
  int64_t base = 0;
  if (description.view_numel) {
    check(sum(description.view_offset, *description.view_numel) <= available, Code::model, who,
          " uses a storage view beyond its storage of ", available, " elements");
    base = description.view_offset;
    available = *description.view_numel;
  }
  int64_t count = 1, last = view.offset;
  bool empty = false;
  for (size_t i = 0; i < view.sizes.size(); ++i) {
    count = product(count, view.sizes[i]);
    empty |= view.sizes[i] == 0;
    if (view.sizes[i] > 0) last = sum(last, product(view.sizes[i] - 1, view.strides[i]));
  }
  Entry entry{view.element, view.sizes, {}};
  if (empty) return out.add(key, std::move(entry));
  check(last < available, Code::model, who, " reaches element ", last, " of a storage of ", available,
        " elements (size ", shape_text(view.sizes), ", stride ", shape_text(view.strides), ")");
  check(count <= available, Code::model, who, " repeats elements of its storage (size ",
        shape_text(view.sizes), ", stride ", shape_text(view.strides), "), expected one place for each");
  const auto bytes = size_t(count * element);
  if (is_contiguous(view)) {
    entry.bytes = storage.subspan(size_t((base + view.offset) * element), bytes);
    return out.add(key, std::move(entry));
  }
  check(bytes <= gather_budget, Code::model, who, " is one of too many strided views of the same storage");
  gather_budget -= bytes;
  auto owner = std::make_shared<std::vector<std::byte>>(bytes);
  gather(view, storage.data() + size_t(base * element), size_t(element), owner->data());
  entry.bytes = *owner;
  out.add(key, std::move(entry));
  out.keep(std::move(owner));
}

}  // namespace ups::pickle
