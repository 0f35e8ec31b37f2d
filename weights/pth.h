// PyTorch checkpoints (.pth, .pt, .ckpt): the zip container of torch >= 1.6 and the older back-to-back
// pickles.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "weights/state_dict.h"

namespace ups {

// Reads a zip checkpoint. Every entry that `part` asks for (all, if there is none) is copied once and its
// checksum verified; of the others not a byte is touched. `file` is not needed afterwards. Training wrappers
// are removed; names are otherwise those of the file. Throws Error{Code::model}.
StateDict read_pth_zip(std::span<const std::byte> file, const std::string& name, const PartOf& part = {});

// Reads a legacy checkpoint. Zero-copy: contiguous tensors view `file`, which must outlive the result.
StateDict read_pth_legacy(std::span<const std::byte> file, const std::string& name);
bool is_pth_legacy(std::span<const std::byte> file);  // by its magic number

}  // namespace ups
