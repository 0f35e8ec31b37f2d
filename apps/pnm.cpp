// PGM (P5) and PPM (P6), 8 and 16 bit, any maxval. The grammar is the one of Netpbm's man pages.
#include <cctype>

#include "apps/failure.h"
#include "apps/image_io.h"

namespace ups::apps {

Image decode_pnm(std::string_view b, const std::string& name) {
  size_t at = 2;
  auto number = [&]() -> int64_t {
    for (;;) {  // white space and comments
      if (at < b.size() && std::isspace(uint8_t(b[at]))) {
        at++;
      } else if (at < b.size() && b[at] == '#') {
        while (at < b.size() && b[at] != '\n') at++;
      } else {
        break;
      }
    }
    int64_t v = -1;
    for (; at < b.size() && std::isdigit(uint8_t(b[at])) && v < (int64_t(1) << 32); at++) {
      v = (v < 0 ? 0 : v) * 10 + (b[at] - '0');
    }
    return v;
  };
  int channels = b[1] == '6' ? 3 : 1;
  int64_t width = number(), height = number(), maxval = number();
  if (width < 1 || height < 1 || maxval < 1 || maxval > 65535 || at >= b.size()) {
    fail(kIo, name, ": is a damaged PPM or PGM (width, height or maximum value missing or out of range)");
  }
  at++;  // one white space
  check_plausible(width, height, b.size(), 1, name);
  int sample = maxval > 255 ? 2 : 1;
  int64_t samples = width * height * channels;
  if (int64_t(b.size() - at) < samples * sample) {
    fail(kIo, name, ": is a truncated PPM or PGM (got ", b.size() - at, " bytes of pixels, expected ",
         samples * sample, ")");
  }
  Image image = allocate_image(int(width), int(height), channels, sample == 2 ? UPS_U16 : UPS_U8);
  const uint8_t* s = reinterpret_cast<const uint8_t*>(b.data()) + at;
  uint32_t full = sample == 2 ? 65535 : 255, m = uint32_t(maxval);
  uint16_t* wide = reinterpret_cast<uint16_t*>(image.pixels.get());
  for (int64_t i = 0; i < samples; i++) {
    uint32_t v = sample == 2 ? uint32_t(s[2 * i] << 8 | s[2 * i + 1]) : s[i];
    if (m != full) v = ((v < m ? v : m) * full + m / 2) / m;
    if (sample == 2)
      wide[i] = uint16_t(v);
    else
      image.pixels[i] = uint8_t(v);
  }
  return image;
}

}  // namespace ups::apps
