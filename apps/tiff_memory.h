// libtiff over memory, with its messages kept instead of printed.
#pragma once

#include <tiffio.h>

#include <memory>
#include <string>
#include <string_view>

namespace ups::apps {

// Reads `in` when it has a size, else writes `out`.
struct TiffMemory {
  std::string_view in;
  std::string out;
  size_t at = 0;
};

struct TiffCloser {
  void operator()(TIFF* t) const { TIFFClose(t); }
};
using TiffHandle = std::unique_ptr<TIFF, TiffCloser>;

// mode "r", "w" or "w8" (64-bit offsets). nullptr on failure.
TiffHandle open_tiff(TiffMemory& memory, const char* mode);
// libtiff's first error on this thread since open_tiff, or "".
const std::string& tiff_message();

}  // namespace ups::apps
