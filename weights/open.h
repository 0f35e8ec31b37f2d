// One door to weight files: sniff the format from the first bytes, read, unwrap.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "weights/state_dict.h"

namespace ups {

// Opens a .safetensors, .pth/.pt/.ckpt (zip or legacy container) or ncnn .param/.bin file (either half of
// the pair may be named). The file is mapped; tensors are views where the format allows. Unwraps
// "params_ema", "params", "state_dict", "module." and the like. ncnn models are returned under the key
// names of the PyTorch architecture they were exported from.
// Where tensors have to be copied (zip containers), only those of `part` are, if it is given; the others are
// names in StateDict::unread. Throws Error{Code::io} when the file cannot be read, Error{Code::model} when it
// is malformed.
std::shared_ptr<const StateDict> open_weights(const std::string& path, const PartOf& part = {});

// The same for a safetensors file already in memory, which must outlive the result.
std::shared_ptr<const StateDict> open_weights(std::span<const std::byte> safetensors,
                                              const std::string& name);

// SHA-256 as 64 lower-case hex digits.
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_file(const std::string& path);  // Throws Error{Code::io}.

}  // namespace ups
