// Fuzzes the reader of PNG's metadata chunks with what follows the signature. Checksums would keep the fuzzer
// out: each chunk gets the right one.
#include "apps/codecs/png_chunks.h"

#include <zlib.h>

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string png = "\x89PNG\r\n\x1a\n";
  png.append(reinterpret_cast<const char*>(data), size);
  for (size_t at = 8; at + 12 <= png.size();) {
    auto byte = [&](size_t i) { return size_t(uint8_t(png[i])); };
    const size_t n = byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3);
    if (n > png.size() - at - 12) break;
    const uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(png.data()) + at + 4, uInt(n + 4)));
    for (size_t i = 0; i < 4; i++) png[at + 8 + n + i] = char(crc >> (24 - 8 * i));
    at += 12 + n;
  }
  ups::apps::png_chunks_of(ups::apps::png_metadata(png));
  return 0;
}
