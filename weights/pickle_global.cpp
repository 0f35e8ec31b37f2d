// The tables behind classify_global. A name is on the inert list because checkpoints in the wild carry it
// beside the weights; since nothing is ever called, the list limits surprise rather than damage.
#include "weights/pickle_global.h"

#include <string>
#include <utility>

namespace ups::pickle {
namespace {

using Name = std::pair<std::string_view, std::string_view>;

struct Typed {
  std::string_view name;
  Element element;
};
constexpr Typed kStorages[] = {
    {"FloatStorage", Element::f32},    {"HalfStorage", Element::f16},   {"BFloat16Storage", Element::bf16},
    {"DoubleStorage", Element::f64},   {"LongStorage", Element::i64},   {"IntStorage", Element::i32},
    {"ShortStorage", Element::i16},    {"CharStorage", Element::i8},    {"ByteStorage", Element::u8},
    {"BoolStorage", Element::boolean}, {"UntypedStorage", Element::u8},
};
constexpr Typed kDtypes[] = {
    {"float32", Element::f32},  {"float16", Element::f16}, {"bfloat16", Element::bf16},
    {"float64", Element::f64},  {"int64", Element::i64},   {"int32", Element::i32},
    {"int16", Element::i16},    {"int8", Element::i8},     {"uint8", Element::u8},
    {"bool", Element::boolean},
};
constexpr std::string_view kUnsupportedDtypes[] = {
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "complex32",
    "complex64",     "complex128",  "uint16",          "uint32",          "uint64",
};

// Whole packages whose objects are training state.
constexpr std::string_view kInertPackages[] = {
    "pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "torch.optim", "omegaconf",
};
constexpr Name kInertNames[] = {
    {"argparse", "Namespace"},
    {"types", "SimpleNamespace"},
    {"easydict", "EasyDict"},
    {"collections", "defaultdict"},
    {"collections", "Counter"},
    {"collections", "deque"},
    {"numpy", "ndarray"},
    {"numpy", "dtype"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy._core.multiarray", "scalar"},
    {"numpy._core.multiarray", "_reconstruct"},
    {"_codecs", "encode"},
    {"copy_reg", "_reconstructor"},
    {"copyreg", "_reconstructor"},
    {"datetime", "datetime"},
    {"datetime", "timedelta"},
    {"pathlib", "PosixPath"},
    {"pathlib", "WindowsPath"},
    {"pathlib", "PurePosixPath"},
    {"typing", "Any"},
    {"torch", "device"},
    {"torch", "Generator"},
    {"torch.torch_version", "TorchVersion"},
    {"torch.serialization", "_get_layout"},
};
constexpr std::string_view kInertBuiltins[] = {
    "set",   "frozenset", "dict",    "list",  "tuple", "int",    "float",   "bool", "str",
    "bytes", "bytearray", "complex", "slice", "range", "object", "unicode", "long",
};

bool in_package(std::string_view module, std::string_view package) {
  return module.substr(0, package.size()) == package &&
         (module.size() == package.size() || module[package.size()] == '.');
}

}  // namespace

Global classify_global(std::string_view module, std::string_view name) {
  using Role = Global::Role;
  if ((module == "collections" || module == "typing") && name == "OrderedDict") return {Role::ordered_dict};
  if (module == "torch._utils") {
    if (name == "_rebuild_tensor" || name == "_rebuild_tensor_v2") return {Role::rebuild_tensor};
    if (name == "_rebuild_tensor_v3") return {Role::rebuild_tensor_v3};
    if (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state")
      return {Role::rebuild_parameter};
  }
  if (module == "torch" || module == "torch.storage")
    for (const Typed& t : kStorages)
      if (t.name == name) return {Role::storage, t.element};
  if (module == "torch") {
    if (name == "Size") return {Role::plain_tuple};
    for (const Typed& t : kDtypes)
      if (t.name == name) return {Role::dtype, t.element};
    for (std::string_view dtype : kUnsupportedDtypes)
      if (dtype == name) return {Role::unsupported_dtype};
  }
  for (std::string_view package : kInertPackages)
    if (in_package(module, package)) return {Role::inert};
  for (const Name& inert : kInertNames)
    if (inert.first == module && inert.second == name) return {Role::inert};
  if (module == "builtins" || module == "__builtin__")
    for (std::string_view type : kInertBuiltins)
      if (type == name) return {Role::inert};
  return {Role::foreign};
}

}  // namespace ups::pickle
