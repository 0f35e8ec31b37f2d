// JPEG in, through stb_image, with what it leaves out: truncated files are refused (a walk over the markers,
// ITU-T T.81 annex B) and the EXIF orientation is applied to the pixels.
#include <cstring>

#include "apps/failure.h"
#include "apps/stb_codec.h"

namespace ups::apps {
namespace {

struct Markers {
  int width = 0, height = 0;
  int orientation = 1;  // EXIF: 1..8
  bool complete = false;
};

int u16be(std::string_view b, size_t i) { return uint8_t(b[i]) << 8 | uint8_t(b[i + 1]); }

// Orientation from an APP1 payload: "Exif\0\0", a TIFF header, tag 0x0112 in the first directory.
int exif_orientation(std::string_view b) {
  if (b.size() < 14 || memcmp(b.data(), "Exif\0\0", 6) != 0) return 1;
  b.remove_prefix(6);
  bool little = b[0] == 'I';
  auto u16 = [&](size_t i) {
    return little ? uint32_t(uint8_t(b[i]) | uint8_t(b[i + 1]) << 8) : uint32_t(u16be(b, i));
  };
  auto u32 = [&](size_t i) { return little ? u16(i) | u16(i + 2) << 16 : u16(i) << 16 | u16(i + 2); };
  size_t at = u32(4);
  if (at + 2 > b.size()) return 1;
  size_t count = u16(at);
  for (size_t k = 0, e = at + 2; k < count && e + 12 <= b.size(); k++, e += 12) {
    if (u16(e) == 0x0112) {
      uint32_t v = u16(e + 8);
      return v >= 1 && v <= 8 ? int(v) : 1;
    }
  }
  return 1;
}

Markers walk(std::string_view b) {
  Markers m;
  size_t i = 2;  // behind SOI
  while (i + 4 <= b.size() || (i + 2 <= b.size() && uint8_t(b[i + 1]) == 0xd9)) {
    if (uint8_t(b[i]) != 0xff) return m;
    uint8_t marker = uint8_t(b[i + 1]);
    if (marker == 0xff) {  // fill byte
      i++;
      continue;
    }
    i += 2;
    if (marker == 0xd9) {  // EOI
      m.complete = true;
      return m;
    }
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;  // TEM, RSTn
    size_t length = size_t(u16be(b, i));
    if (length < 2 || length > b.size() - i) return m;
    std::string_view payload = b.substr(i + 2, length - 2);
    bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame && payload.size() >= 6) m.height = u16be(payload, 1), m.width = u16be(payload, 3);
    if (marker == 0xe1 && m.orientation == 1) m.orientation = exif_orientation(payload);
    i += length;
    if (marker == 0xda) {  // entropy-coded data: up to a marker that is neither stuffing nor RSTn
      while (i + 1 < b.size()) {
        const void* p = memchr(b.data() + i, 0xff, b.size() - i - 1);
        if (!p) return m;
        i = size_t(static_cast<const char*>(p) - b.data());
        uint8_t next = uint8_t(b[i + 1]);
        if (next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) break;
        i += next == 0xff ? 1 : 2;
      }
    }
  }
  return m;
}

// EXIF orientation o: which source pixel lands on (x, y) of the upright image.
Image upright(const Image& in, int o) {
  bool transposed = o >= 5;
  Image out = allocate_image(transposed ? in.height : in.width, transposed ? in.width : in.height,
                             in.channels, in.depth);
  size_t px = size_t(in.channels);
  for (int y = 0; y < out.height; y++) {
    for (int x = 0; x < out.width; x++) {
      int sx = transposed ? y : x, sy = transposed ? x : y;
      if (o == 2 || o == 3 || o == 7 || o == 8) sx = in.width - 1 - sx;
      if (o == 3 || o == 4 || o == 6 || o == 7) sy = in.height - 1 - sy;
      memcpy(out.row(y) + x * px, in.row(sy) + sx * px, px);
    }
  }
  return out;
}

}  // namespace

Image decode_jpeg(std::string_view bytes, const std::string& name) {
  Markers m = walk(bytes);
  if (m.width == 0 || m.height == 0) fail(kIo, name, ": is a damaged JPEG (no frame header found)");
  if (!m.complete) fail(kIo, name, ": is a truncated JPEG (no end-of-image marker)");
  // A block of 8x8 pixels costs at least one bit; 16 for the coarsest sampling of the finest component.
  check_plausible(m.width, m.height, bytes.size(), 64 * 8 * 16, name);
  Image image = decode_with_stb(bytes, name, "JPEG");
  return m.orientation == 1 ? std::move(image) : upright(image, m.orientation);
}

}  // namespace ups::apps
