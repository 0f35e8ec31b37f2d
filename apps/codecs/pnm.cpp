// PBM, PGM and PPM (P1 to P6), PAM (P7) and PFM (Pf, PF) in, any maxval; PGM, PPM and PFM out. The grammars
// are those of Netpbm's man pages.
#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "apps/codecs/image_io.h"
#include "apps/failure.h"

namespace ups::apps {

namespace {

// The words of a header, and the pixels of the formats in text. White space and comments stand between.
class Words {
 public:
  Words(std::string_view b, size_t at) : b_(b), at_(at) {}

  // -1 where there is none.
  int64_t number() {
    skip();
    int64_t v = -1;
    for (; at_ < b_.size() && std::isdigit(uint8_t(b_[at_])) && v < (int64_t(1) << 32); at_++)
      v = (v < 0 ? 0 : v) * 10 + (b_[at_] - '0');
    return v;
  }
  // One digit: the pixels of P1 need no space between.
  int bit() {
    skip();
    return at_ < b_.size() && (b_[at_] == '0' || b_[at_] == '1') ? b_[at_++] - '0' : -1;
  }
  std::string_view word() {
    skip();
    const size_t begin = at_;
    while (at_ < b_.size() && !std::isspace(uint8_t(b_[at_]))) at_++;
    return b_.substr(begin, at_ - begin);
  }
  void skip_line() {
    while (at_ < b_.size() && b_[at_] != '\n') at_++;
  }
  // Behind the one white space that ends a header; the size of the file where there is none.
  size_t end() const { return std::min(at_ + 1, b_.size()); }

 private:
  void skip() {
    while (at_ < b_.size() && (std::isspace(uint8_t(b_[at_])) || b_[at_] == '#')) {
      if (b_[at_] == '#')
        skip_line();
      else
        at_++;
    }
  }
  std::string_view b_;
  size_t at_;
};

struct PnmHeader {
  int64_t width = -1, height = -1, channels = 1, maxval = 1;
};

// PAM: one statement a line, in any order.
PnmHeader pam_header(Words& words, const std::string& name) {
  PnmHeader h;
  h.maxval = -1, h.channels = -1;
  for (int lines = 0; lines < 100; lines++) {
    const std::string_view key = words.word();
    if (key == "ENDHDR") return h;
    if (key == "WIDTH") h.width = words.number();
    if (key == "HEIGHT") h.height = words.number();
    if (key == "DEPTH") h.channels = words.number();
    if (key == "MAXVAL") h.maxval = words.number();
    if (key == "TUPLTYPE" && words.word().substr(0, 4) == "CMYK")
      fail(kIo, name, ": is a PAM of ink (CMYK), expected gray or RGB, with or without alpha");
    words.skip_line();
    if (key.empty()) break;
  }
  fail(kIo, name, ": is a damaged PAM (its header does not end)");
}

// [samples] numbers up to maxval -> the full range of the depth.
template <class T>
void scale_to_full(T* out, int64_t samples, uint32_t maxval) {
  constexpr uint64_t full = T(~T(0));
  if (maxval == full) return;
  for (int64_t i = 0; i < samples; i++)
    out[i] = T((std::min<uint64_t>(out[i], maxval) * full + maxval / 2) / maxval);
}

}  // namespace

Image decode_pnm(std::string_view b, const std::string& name) {
  const char kind = b[1];
  Words words(b, 2);
  PnmHeader h;
  if (kind == '7') {
    h = pam_header(words, name);
  } else {
    h.channels = kind == '3' || kind == '6' ? 3 : 1;
    h.width = words.number(), h.height = words.number();
    if (kind != '1' && kind != '4') h.maxval = words.number();
  }
  if (h.width < 1 || h.height < 1 || h.maxval < 1 || h.maxval > 65535 || h.channels < 1 || h.channels > 4) {
    fail(kIo, name, ": is a damaged ", format_name(Format::pnm),
         " (width, height or maximum value missing or out of range)");
  }
  const size_t at = words.end();
  const bool packed = kind == '4', text = kind <= '3';
  check_plausible(h.width, h.height, b.size(), packed ? 8 : 1, name);
  const int64_t sample = h.maxval > 255 ? 2 : 1, samples = h.width * h.height * h.channels;
  const int64_t expected = packed ? (h.width + 7) / 8 * h.height : text ? samples : samples * sample;
  auto truncated = [&] {
    fail(kIo, name, ": is a truncated ", format_name(Format::pnm), " (got ", b.size() - at,
         " bytes of pixels, expected ", text ? "at least " : "", expected, ")");
  };
  if (int64_t(b.size() - at) < expected) truncated();
  Image image = allocate_image(int(h.width), int(h.height), int(h.channels), sample == 2 ? UPS_U16 : UPS_U8);
  const uint8_t* s = reinterpret_cast<const uint8_t*>(b.data()) + at;
  uint8_t* narrow = image.pixels.get();
  uint16_t* wide = reinterpret_cast<uint16_t*>(narrow);
  if (packed) {
    const int64_t row = (h.width + 7) / 8;
    for (int64_t y = 0; y < h.height; y++)
      for (int64_t x = 0; x < h.width; x++)
        narrow[y * h.width + x] = s[y * row + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
    return image;
  }
  for (int64_t i = 0; i < samples; i++) {
    int64_t v = 0;
    if (kind == '1')
      v = words.bit();
    else if (text)
      v = words.number();
    else
      v = sample == 2 ? s[2 * i] << 8 | s[2 * i + 1] : s[i];
    if (v < 0) truncated();
    v = std::min(v, h.maxval);
    if (sample == 2)
      wide[i] = uint16_t(v);
    else
      narrow[i] = uint8_t(kind == '1' ? 1 - v : v);
  }
  if (sample == 2)
    scale_to_full(wide, samples, uint32_t(h.maxval));
  else
    scale_to_full(narrow, samples, uint32_t(h.maxval));
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
