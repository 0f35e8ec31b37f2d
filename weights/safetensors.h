// safetensors: u64 little-endian header length, JSON header, packed tensors. (huggingface/safetensors)
#pragma once

#include <memory>
#include <span>
#include <string>

#include "weights/state_dict.h"

namespace ups {

// Zero-copy: entries view `file`, which must outlive the result. Accepts only what the reference reader
// accepts: no holes, no overlaps, no duplicate keys, sizes that match shapes. Throws Error{Code::model}.
StateDict read_safetensors(std::span<const std::byte> file, const std::string& name);

// Writes entries and metadata to `path` through a temporary that is renamed when complete. Dtypes are kept.
// Throws Error{Code::io}; on failure `path` is untouched.
void write_safetensors(const std::string& path, const StateDict& weights);

}  // namespace ups
