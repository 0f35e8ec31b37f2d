// BMP and TGA in, through stb_image, behind checks that the file holds as many pixels as its header claims.
#include <cstdlib>

#include "apps/failure.h"
#include "apps/stb_codec.h"

namespace ups::apps {
namespace {

uint32_t u16(std::string_view b, size_t i) { return uint32_t(uint8_t(b[i]) | uint8_t(b[i + 1]) << 8); }
uint32_t u32(std::string_view b, size_t i) { return u16(b, i) | u16(b, i + 2) << 16; }

// Bytes a run-length packet stream must have for `pixels` pixels of `px_bytes`; false if `b` is too short.
bool rle_complete(std::string_view b, int64_t pixels, size_t px_bytes) {
  size_t i = 0;
  while (pixels > 0) {
    if (i >= b.size()) return false;
    int n = (uint8_t(b[i]) & 127) + 1;
    i += 1 + (uint8_t(b[i]) & 128 ? px_bytes : size_t(n) * px_bytes);
    if (i > b.size()) return false;
    pixels -= n;
  }
  return true;
}

}  // namespace

Image decode_bmp(std::string_view b, const std::string& name) {
  if (b.size() < 26) fail(kIo, name, ": is a truncated BMP");
  uint32_t offset = u32(b, 10), header = u32(b, 14);
  int64_t width, height, bits;
  if (header == 12) {
    width = u16(b, 18), height = u16(b, 20), bits = u16(b, 24);
  } else {
    if (header < 40 || b.size() < 54) fail(kIo, name, ": is a damaged or truncated BMP");
    width = int32_t(u32(b, 18)), height = std::abs(int64_t(int32_t(u32(b, 22)))), bits = u16(b, 28);
  }
  check_plausible(width, height, b.size(), 8, name);
  int64_t row = (width * bits + 31) / 32 * 4;
  if (int64_t(offset) + row * (height - 1) + (width * bits + 7) / 8 > int64_t(b.size())) {
    fail(kIo, name, ": is a truncated BMP (", width, "x", height, " pixels of ", bits, " bits do not fit in ",
         b.size(), " bytes)");
  }
  return decode_with_stb(b, name, "BMP");
}

Image decode_tga(std::string_view b, const std::string& name) {
  if (b.size() < 18) fail(kIo, name, ": is a truncated TGA");
  int id = uint8_t(b[0]), type = uint8_t(b[2]), bits = uint8_t(b[16]);
  int64_t width = u16(b, 12), height = u16(b, 14);
  bool rle = type >= 9 && type <= 11;
  if (!(rle || (type >= 1 && type <= 3)) || bits < 8 || bits > 32) {
    fail(kIo, name, ": is not a TGA of a known kind (type ", type, ", ", bits, " bits)");
  }
  check_plausible(width, height, b.size(), rle ? 128 : 1, name);
  size_t px_bytes = size_t(bits + 7) / 8;
  size_t start = 18 + size_t(id);
  if (b[1]) start += size_t(u16(b, 5)) * ((uint8_t(b[7]) + 7) / 8);
  bool complete = start <= b.size() && (rle ? rle_complete(b.substr(start), width * height, px_bytes)
                                            : b.size() - start >= size_t(width * height) * px_bytes);
  if (!complete) fail(kIo, name, ": is a truncated TGA");
  return decode_with_stb(b, name, "TGA");
}

}  // namespace ups::apps
