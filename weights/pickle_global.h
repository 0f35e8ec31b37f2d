// The policy on names a pickle may mention.
#pragma once

#include <string_view>

#include "weights/state_dict.h"

namespace ups::pickle {

struct Global {
  enum class Role : uint8_t {
    ordered_dict,       // collections.OrderedDict: a dict
    plain_tuple,        // torch.Size: its argument
    rebuild_tensor,     // torch._utils._rebuild_tensor, _v2, _v3
    rebuild_tensor_v3,  // takes the dtype as an argument
    rebuild_parameter,  // yields its first argument
    storage,            // torch.FloatStorage ...: `element`
    dtype,              // torch.float32 ...: `element`
    unsupported_dtype,  // torch.float8_e4m3fn, torch.complex64 ...
    inert,              // harmless: anything made of it is an opaque token
    foreign             // refused
  };
  Role role = Role::foreign;
  Element element = Element::u8;
};

// Never imports anything: a table look-up on the two names.
Global classify_global(std::string_view module, std::string_view name);

}  // namespace ups::pickle
