// libtiff over memory or an output file, with its messages kept instead of printed.
#pragma once

#include <tiffio.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "apps/output_file.h"

namespace ups::apps {

// Reads `in`, or writes `file`.
struct TiffMemory {
  std::string_view in;
  OutputFile* file = nullptr;
  size_t at = 0, size = 0;     // of the file so far
  std::exception_ptr error{};  // of the file: no exception may fly through libtiff
};

struct TiffCloser {
  void operator()(TIFF* t) const { TIFFClose(t); }
};
using TiffHandle = std::unique_ptr<TIFF, TiffCloser>;

// mode: "r", or "w" and what TIFFOpen knows: "8" (64-bit offsets), "l" or "b" (byte order). nullptr on
// failure.
TiffHandle open_tiff(TiffMemory& memory, const char* mode);
// libtiff's first error on this thread since open_tiff, or "".
const std::string& tiff_message();

}  // namespace ups::apps
