// BMP and TGA in, through stb_image, behind checks that the file holds as many pixels as its header claims.
// The runs of a compressed BMP are unpacked first: stb_image has none.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "apps/codecs/stb_codec.h"
#include "apps/failure.h"

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

[[noreturn]] void damaged_bmp(const std::string& name) { fail(kIo, name, ": is a damaged BMP"); }

void put32(std::string& s, size_t i, uint32_t v) {
  for (int k = 0; k < 4; k++) s[i + size_t(k)] = char(v >> 8 * k);
}

// The header of 12 bytes (OS/2) -> that of 40: stb_image miscounts the colours of the former.
std::string bmp_with_long_header(std::string_view b, uint32_t offset, int bits, const std::string& name) {
  const size_t colours = bits <= 8 ? size_t(1) << bits : 0;
  if (offset < 26 || offset > b.size()) damaged_bmp(name);
  const size_t before = 26 + 3 * std::min(colours, size_t(offset - 26) / 3);  // some store fewer
  std::string out(b.substr(0, 14));
  out.resize(54, '\0');
  put32(out, 14, 40), put32(out, 18, u16(b, 18)), put32(out, 22, u16(b, 20));
  out[26] = 1, out[28] = char(bits);
  for (size_t i = 26; i < before; i += 3) out.append(b.substr(i, 3)).push_back('\0');
  out.resize(54 + 4 * colours, '\0');
  put32(out, 10, uint32_t(out.size()));
  return out.append(b.substr(offset));
}

// Runs of 8- or 4-bit indices -> a BMP of 8-bit indices as they are. `b` has a whole header of 40 bytes or
// more. Pixels that are jumped over get index 0.
std::string bmp_without_runs(std::string_view b, int64_t width, int64_t height, bool nibbles,
                             const std::string& name) {
  const size_t row = size_t(width + 3) / 4 * 4, header = 14 + u32(b, 14);
  size_t at = u32(b, 10);
  const uint32_t used = u32(b, 46), colours = used == 0 ? (nibbles ? 16 : 256) : used;
  if (header > b.size() || colours > 256 || (b.size() - header) / 4 < colours) damaged_bmp(name);
  std::string out(b.substr(0, header + 4 * colours));
  out.resize(header + 4 * 256, '\0');
  const size_t pixels = out.size();
  put32(out, 10, uint32_t(pixels)), put32(out, 30, 0), put32(out, 34, 0), put32(out, 46, 256);
  out[28] = 8, out[29] = 0;
  out.resize(pixels + row * size_t(height), '\0');
  int64_t x = 0, y = 0;
  auto byte = [&]() -> int {
    if (at >= b.size()) fail(kIo, name, ": is a truncated BMP (its runs end too early)");
    return uint8_t(b[at++]);
  };
  auto put = [&](int index) {
    if (x < width && y < height) out[pixels + size_t(y) * row + size_t(x)] = char(index);
    x++;
  };
  // The k-th of the indices in a byte or in two nibbles.
  auto pick = [&](int v, int k) { return !nibbles ? v : k % 2 ? v & 15 : v >> 4; };
  while (y < height) {
    const int count = byte(), value = byte();
    if (count > 0) {
      for (int k = 0; k < count; k++) put(pick(value, k));
    } else if (value == 0) {
      x = 0, y++;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      x += byte(), y += byte();
    } else {
      int v = 0;
      for (int k = 0; k < value; k++) {
        if (!nibbles || k % 2 == 0) v = byte();
        put(pick(v, k));
      }
      if ((nibbles ? (value + 1) / 2 : value) % 2) byte();  // to an even number
    }
  }
  return out;
}

Image bmp_pixels(std::string_view b, const std::string& name) {
  if (b.size() < 26) fail(kIo, name, ": is a truncated BMP");
  uint32_t offset = u32(b, 10), header = u32(b, 14);
  int64_t width, height, bits;
  if (header == 12) {
    width = u16(b, 18), height = u16(b, 20), bits = u16(b, 24);
  } else {
    if (header < 40 || b.size() < 54) fail(kIo, name, ": is a damaged or truncated BMP");
    width = int32_t(u32(b, 18)), height = std::abs(int64_t(int32_t(u32(b, 22)))), bits = u16(b, 28);
  }
  const uint32_t compression = header == 12 ? 0 : u32(b, 30);
  if (compression == 1 || compression == 2) {  // a pair of bytes stands for at most 255 pixels
    check_plausible(width, height, b.size(), 128, name);
    if (int32_t(u32(b, 22)) < 0 || bits != (compression == 1 ? 8 : 4)) damaged_bmp(name);
    return decode_with_stb(bmp_without_runs(b, width, height, compression == 2, name), name, "BMP");
  }
  check_plausible(width, height, b.size(), 8, name);
  int64_t row = (width * bits + 31) / 32 * 4;
  if (int64_t(offset) + row * (height - 1) + (width * bits + 7) / 8 > int64_t(b.size())) {
    fail(kIo, name, ": is a truncated BMP (", width, "x", height, " pixels of ", bits, " bits do not fit in ",
         b.size(), " bytes)");
  }
  if (header == 12) {
    const std::string longer = bmp_with_long_header(b, offset, int(bits), name);
    return decode_with_stb(longer, name, "BMP");
  }
  return decode_with_stb(b, name, "BMP");
}

}  // namespace

Image decode_bmp(std::string_view b, const std::string& name) {
  Image image = bmp_pixels(b, name);
  if (u32(b, 14) >= 40) {  // pixels per metre
    const int32_t x = int32_t(u32(b, 38)), y = int32_t(u32(b, 42));
    if (x > 0 && y > 0) image.meta.dpi_x = x * 0.0254, image.meta.dpi_y = y * 0.0254;
  }
  return image;
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
