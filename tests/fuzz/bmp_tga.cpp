// Fuzzes what stands before stb_image: the checks of BMP and TGA and the unpacking of runs.
#include <string_view>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups::apps;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    if (bytes.substr(0, 2) == "BM")
      decode_bmp(bytes, "f.bmp");
    else
      decode_tga(bytes, "f.tga");
  } catch (const Failure& e) {
    if (e.code != kIo) __builtin_trap();  // nothing it says may ask for more memory than the file has
  }
  return 0;
}
