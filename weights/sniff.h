// What kind of file some bytes are, judged by their first few hundred.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ups {

enum class FileKind {
  safetensors,
  pth_zip,
  pth_legacy,
  ncnn_param,
  unsupported  // something recognisable that is not weights, or not weights this library reads
};

// For FileKind::unsupported, `explanation` completes "FILE: ...".
struct Sniffed {
  FileKind kind = FileKind::unsupported;
  std::string explanation;
};
Sniffed sniff(std::span<const std::byte> file);

}  // namespace ups
