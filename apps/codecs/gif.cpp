// GIF in, first frame, through stb_image, behind a walk over its blocks (GIF89a specification): stb reads
// zeros past the end of a file.
#include "apps/codecs/stb_codec.h"
#include "apps/failure.h"

namespace ups::apps {

Image decode_gif(std::string_view b, const std::string& name) {
  auto u8 = [&](size_t i) { return i < b.size() ? size_t(uint8_t(b[i])) : 0; };
  auto u16 = [&](size_t i) { return u8(i) | u8(i + 1) << 8; };
  auto table = [&](size_t flags) { return flags & 128 ? size_t(3) << ((flags & 7) + 1) : 0; };
  int64_t width = int64_t(u16(6)), height = int64_t(u16(8));
  check_plausible(width, height, b.size(), 4096 * 4, name);  // a 12-bit code stands for at most 4096 pixels
  size_t at = 13 + table(u8(10));
  int frames = 0;
  bool cut = b.size() < 13;
  // Sub-blocks: a length, so many bytes, up to a length of 0.
  auto skip_blocks = [&] {
    for (; at < b.size() && u8(at) != 0; at += 1 + u8(at)) {
    }
    cut |= at >= b.size();
    at++;
  };
  while (!cut && frames < 2) {
    size_t kind = at < b.size() ? u8(at) : 0x3b;
    if (kind == 0x21) {
      at += 2;
      skip_blocks();
    } else if (kind == 0x2c) {
      if (frames++ == 1) break;
      int64_t right = int64_t(u16(at + 1) + u16(at + 5)), bottom = int64_t(u16(at + 3) + u16(at + 7));
      if (right > width || bottom > height)
        fail(kIo, name, ": is a damaged GIF (a frame outside of the screen)");
      at += 10 + table(u8(at + 9)) + 1;
      skip_blocks();
    } else {
      break;
    }
  }
  if (cut || frames == 0) fail(kIo, name, ": is a damaged or truncated GIF");
  Image image = decode_with_stb(b, name, "GIF");
  if (frames > 1) image.notes = "only the first frame of this animation is read";
  return image;
}

}  // namespace ups::apps
