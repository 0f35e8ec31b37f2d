// PGM (P5) and PPM (P6), 8 and 16 bit, any maxval, and PFM (Pf, PF), in and out. The grammars are those of
// Netpbm's man pages.
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>

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

// Rows bottom to top, little-endian when the scale is negative.
Image decode_pfm(std::string_view b, const std::string& name) {
  int channels = b[1] == 'F' ? 3 : 1;
  std::string field[3];
  size_t at = 2;
  for (std::string& f : field) {
    while (at < b.size() && std::isspace(uint8_t(b[at]))) at++;
    while (at < b.size() && !std::isspace(uint8_t(b[at])) && f.size() < 32) f += b[at++];
  }
  at++;  // one white space
  int64_t width = std::strtoll(field[0].c_str(), nullptr, 10),
          height = std::strtoll(field[1].c_str(), nullptr, 10);
  double scale = std::strtod(field[2].c_str(), nullptr);
  if (scale == 0 || !std::isfinite(scale)) fail(kIo, name, ": is a damaged PFM (no scale)");
  check_plausible(width, height, b.size(), 1, name);
  int64_t samples = width * height * channels;
  if (at > b.size() || int64_t(b.size() - at) < samples * 4) fail(kIo, name, ": is a truncated PFM");
  Image image = allocate_image(int(width), int(height), channels, UPS_F32);
  bool swap = (scale < 0) != (std::endian::native == std::endian::little);
  for (int y = 0; y < image.height; y++) {
    const char* s = b.data() + at + size_t(image.height - 1 - y) * image.row_bytes();
    float* d = reinterpret_cast<float*>(image.row(y));
    for (size_t i = 0, n = image.row_bytes() / 4; i < n; i++) {
      uint32_t v;
      memcpy(&v, s + 4 * i, 4);
      if (swap) v = v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
      d[i] = std::bit_cast<float>(v);
      if (!std::isfinite(d[i])) d[i] = 0;
    }
  }
  return image;
}

void encode_pnm(OutputFile& file, const Image& image) {
  bool wide = image.depth == UPS_U16;
  std::string head = std::string(image.channels == 1 ? "P5" : "P6") + "\n" + std::to_string(image.width) +
                     " " + std::to_string(image.height) + "\n" + (wide ? "65535" : "255") + "\n";
  file.write(head.data(), head.size());
  std::string swapped;
  for (int y = 0; y < image.height; y++) {
    const uint8_t* row = image.row(y);
    if (wide && std::endian::native == std::endian::little) {
      swapped.assign(reinterpret_cast<const char*>(row), image.row_bytes());
      for (size_t i = 0; i + 1 < swapped.size(); i += 2) std::swap(swapped[i], swapped[i + 1]);
      row = reinterpret_cast<const uint8_t*>(swapped.data());
    }
    file.write(row, image.row_bytes());
  }
}

void encode_pfm(OutputFile& file, const Image& image) {
  std::string head = std::string(image.channels == 1 ? "Pf" : "PF") + "\n" + std::to_string(image.width) +
                     " " + std::to_string(image.height) + "\n" +
                     (std::endian::native == std::endian::little ? "-1.0" : "1.0") + "\n";
  file.write(head.data(), head.size());
  for (int y = image.height - 1; y >= 0; y--) file.write(image.row(y), image.row_bytes());
}

}  // namespace ups::apps
