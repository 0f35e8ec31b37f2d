// Walks the first directory of an EXIF block and the Exif directory below it. Every offset is checked.
#include "apps/exif.h"

#include <cmath>

namespace ups::apps {
namespace {

enum Type : uint32_t { kAscii = 2, kShort = 3, kLong = 4, kRational = 5 };

class Block {
 public:
  explicit Block(std::string_view bytes) : b_(bytes) {
    little_ = b_.substr(0, 4) == std::string_view("II*\0", 4);
    valid_ = b_.size() >= 8 && (little_ || b_.substr(0, 4) == std::string_view("MM\0*", 4));
  }
  bool valid() const { return valid_; }
  bool little() const { return little_; }
  uint32_t u16(size_t i) const {
    uint32_t a = uint8_t(b_[i]), c = uint8_t(b_[i + 1]);
    return little_ ? a | c << 8 : a << 8 | c;
  }
  uint32_t u32(size_t i) const {
    uint32_t a = u16(i), c = u16(i + 2);
    return little_ ? a | c << 16 : a << 16 | c;
  }
  // Entries of the directory at `at`; 0 when it does not fit.
  size_t entries(size_t at) const {
    if (!valid_ || at < 8 || at > b_.size() || b_.size() - at < 2) return 0;
    size_t n = u16(at);
    return n * 12 + 2 <= b_.size() - at ? n : 0;
  }
  // Position of the entry with this tag; 0 when absent.
  size_t find(size_t directory, uint32_t tag) const {
    size_t n = entries(directory);
    for (size_t k = 0; k < n; k++) {
      if (u16(directory + 2 + 12 * k) == tag) return directory + 2 + 12 * k;
    }
    return 0;
  }
  size_t first() const { return valid_ ? u32(4) : 0; }
  // The Exif directory, 0 when absent.
  size_t exif() const {
    size_t e = find(first(), 0x8769);
    return e && u16(e + 2) == kLong ? u32(e + 8) : 0;
  }
  // A SHORT or LONG of count 1; 0 when it is something else.
  uint32_t number(size_t entry) const {
    if (!entry || u32(entry + 4) != 1) return 0;
    uint32_t type = u16(entry + 2);
    return type == kShort ? u16(entry + 8) : type == kLong ? u32(entry + 8) : 0;
  }
  // Where a RATIONAL of count 1 lies; 0 when there is none.
  size_t rational(size_t entry) const {
    if (!entry || u16(entry + 2) != kRational || u32(entry + 4) != 1) return 0;
    size_t at = u32(entry + 8);
    return at >= 8 && at <= b_.size() && b_.size() - at >= 8 ? at : 0;
  }

 private:
  std::string_view b_;
  bool little_ = false, valid_ = false;
};

void put16(std::string& s, size_t i, bool little, uint32_t v) {
  s[i] = char(little ? v : v >> 8), s[i + 1] = char(little ? v >> 8 : v);
}
void put32(std::string& s, size_t i, bool little, uint32_t v) {
  put16(s, i, little, little ? v & 0xffff : v >> 16);
  put16(s, i + 2, little, little ? v >> 16 : v & 0xffff);
}

// Only where the entry is a SHORT or LONG that can hold it.
void set_number(std::string& s, const Block& b, size_t entry, uint32_t v) {
  if (!entry || b.u32(entry + 4) != 1) return;
  if (b.u16(entry + 2) == kShort && v < 65536) put16(s, entry + 8, b.little(), v);
  if (b.u16(entry + 2) == kLong) put32(s, entry + 8, b.little(), v);
}

void set_rational(std::string& s, const Block& b, size_t entry, double v) {
  if (size_t at = b.rational(entry)) {
    put32(s, at, b.little(), uint32_t(std::lround(v * 100)));
    put32(s, at + 4, b.little(), 100);
  }
}

}  // namespace

int exif_orientation(std::string_view exif) {
  Block b(exif);
  uint32_t v = b.number(b.find(b.first(), 0x0112));
  return v >= 1 && v <= 8 ? int(v) : 1;
}

bool exif_resolution(std::string_view exif, double& x, double& y) {
  Block b(exif);
  size_t at_x = b.rational(b.find(b.first(), 0x011a)), at_y = b.rational(b.find(b.first(), 0x011b));
  if (!at_x || !at_y || b.u32(at_x + 4) == 0 || b.u32(at_y + 4) == 0) return false;
  uint32_t unit = b.number(b.find(b.first(), 0x0128));
  double factor = unit == 3 ? 2.54 : unit == 2 || unit == 0 ? 1 : 0;  // centimetres, inches (the default)
  x = factor * b.u32(at_x) / b.u32(at_x + 4), y = factor * b.u32(at_y) / b.u32(at_y + 4);
  return x > 0 && y > 0;
}

std::string exif_text(std::string_view exif, uint16_t tag) {
  Block b(exif);
  size_t e = b.find(b.first(), tag);
  if (!e || b.u16(e + 2) != kAscii) return "";
  size_t n = b.u32(e + 4), at = n <= 4 ? e + 8 : b.u32(e + 8);
  if (at > exif.size() || n > exif.size() - at) return "";
  std::string text(exif.substr(at, n));
  return text.substr(0, text.find('\0'));
}

void exif_update(std::string& exif, int width, int height, double dpi_x, double dpi_y) {
  Block b(exif);
  if (!b.valid()) return;
  size_t first = b.first(), sub = b.exif();
  set_number(exif, b, b.find(first, 0x0112), 1);
  set_number(exif, b, b.find(first, 0x0100), uint32_t(width));
  set_number(exif, b, b.find(first, 0x0101), uint32_t(height));
  set_number(exif, b, b.find(sub, 0xa002), uint32_t(width));
  set_number(exif, b, b.find(sub, 0xa003), uint32_t(height));
  if (dpi_x > 0) {
    set_rational(exif, b, b.find(first, 0x011a), dpi_x);
    set_rational(exif, b, b.find(first, 0x011b), dpi_y);
    set_number(exif, b, b.find(first, 0x0128), 2);
  }
}

void exif_add_text(std::string& exif, uint16_t tag, const std::string& text, bool replace) {
  if (exif.empty()) exif = std::string("II*\0\x08\0\0\0\0\0\0\0\0\0", 14);
  Block b(exif);
  if (!b.valid()) return;
  size_t first = b.first(), n = b.entries(first);
  const size_t there = b.find(first, tag);
  if (there && !replace) return;
  if (first < 8 || first > exif.size() || exif.size() - first < 6 + 12 * n || n > 60000) return;
  if (n == 0 && b.u16(first) != 0) return;  // a directory that does not fit
  bool little = b.little();
  // A longer copy of the directory goes to the end; offsets in it are absolute and stay true.
  size_t k = 0;
  while (k < n && b.u16(first + 2 + 12 * k) < tag) k++;
  if (there) k = (there - first - 2) / 12;
  std::string entry(12, '\0'), count(2, '\0');
  put16(count, 0, little, uint32_t(n + !there));
  put16(entry, 0, little, tag);
  put16(entry, 2, little, kAscii);
  put32(entry, 4, little, uint32_t(text.size() + 1));
  std::string old = exif.substr(first + 2, 12 * n + 4);
  if (exif.size() % 2) exif += '\0';
  size_t directory = exif.size(), value = directory + 2 + 12 * (n + !there) + 4;
  if (text.size() + 1 > 4) {
    put32(entry, 8, little, uint32_t(value));
  } else {
    entry.replace(8, text.size(), text);
  }
  exif += count + old.substr(0, 12 * k) + entry + old.substr(12 * (k + (there != 0)));
  if (text.size() + 1 > 4) exif += text + '\0';
  put32(exif, 4, little, uint32_t(directory));
}

}  // namespace ups::apps
