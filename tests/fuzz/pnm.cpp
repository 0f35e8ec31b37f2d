// Fuzzes the readers of PBM, PGM, PPM, PAM and PFM with whole files.
#include <string_view>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups::apps;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size < 2 || bytes[0] != 'P') return 0;
  try {
    if (bytes[1] >= '1' && bytes[1] <= '7') decode_pnm(bytes, "f");
    if (bytes[1] == 'f' || bytes[1] == 'F') decode_pfm(bytes, "f");
  } catch (const Failure& e) {
    if (e.code != kIo) __builtin_trap();  // nothing it says may ask for more memory than the file has
  }
  return 0;
}
