// Walks the first directory of an EXIF block and the Exif directory below it. Every offset is checked.
#include "apps/codecs/exif.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ups::apps {
namespace {

enum Type : uint32_t { kAscii = 2, kShort = 3, kLong = 4, kRational = 5, kUndefined = 7 };
constexpr uint16_t kExifDirectory = 0x8769, kUserComment = 0x9286;

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
    size_t e = find(first(), kExifDirectory);
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

namespace {

constexpr size_t kFirstLink = 4;  // where the offset of the first directory stands

// link: where the offset of the directory stands. value: as stored, in the block's byte order.
void add_field(std::string& exif, size_t link, uint16_t tag, Type type, size_t count,
               const std::string& value, bool replace) {
  Block b(exif);
  if (!b.valid()) return;
  size_t first = b.u32(link), n = b.entries(first);
  const size_t there = b.find(first, tag);
  if (there && !replace) return;
  if (first < 8 || first > exif.size() || exif.size() - first < 6 + 12 * n || n > 60000) return;
  if (n == 0 && b.u16(first) != 0) return;  // a directory that does not fit
  bool little = b.little();
  // A longer copy of the directory goes to the end; offsets in it are absolute and stay true.
  size_t k = 0;
  while (k < n && b.u16(first + 2 + 12 * k) < tag) k++;
  if (there) k = (there - first - 2) / 12;
  std::string entry(12, '\0'), head(2, '\0');
  put16(head, 0, little, uint32_t(n + !there));
  put16(entry, 0, little, tag);
  put16(entry, 2, little, type);
  put32(entry, 4, little, uint32_t(count));
  std::string old = exif.substr(first + 2, 12 * n + 4);
  if (exif.size() % 2) exif += '\0';
  size_t directory = exif.size(), at = directory + 2 + 12 * (n + !there) + 4;
  if (value.size() > 4) {
    put32(entry, 8, little, uint32_t(at));
  } else {
    entry.replace(8, value.size(), value);
  }
  exif += head + old.substr(0, 12 * k) + entry + old.substr(12 * (k + (there != 0)));
  if (value.size() > 4) exif += value;
  put32(exif, link, little, uint32_t(directory));
}

// Big-endian, as most programs write it whatever the block's byte order. Bytes that are no UTF-8 are Latin-1.
std::string utf16(const std::string& text) {
  std::string out;
  auto unit = [&](uint32_t v) { out += {char(v >> 8), char(v)}; };
  for (size_t i = 0; i < text.size();) {
    const uint8_t c = uint8_t(text[i]);
    const size_t more = c < 0xc2 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 0;
    uint32_t v = more ? c & (0x3f >> more) : c;
    size_t k = 1;
    for (; k <= more && i + k < text.size() && (uint8_t(text[i + k]) & 0xc0) == 0x80; k++)
      v = v << 6 | (uint8_t(text[i + k]) & 0x3f);
    const bool whole = k == more + 1;
    if (!whole) v = c;
    i += whole ? k : 1;
    if (v >= 0x10000)
      unit(0xd800 + ((v - 0x10000) >> 10 & 0x3ff)), unit(0xdc00 + ((v - 0x10000) & 0x3ff));
    else
      unit(v);
  }
  return out;
}

void begin(std::string& exif) {
  if (exif.empty()) exif = std::string("II*\0\x08\0\0\0\0\0\0\0\0\0", 14);
}

}  // namespace

void exif_add_text(std::string& exif, uint16_t tag, const std::string& text, bool replace) {
  begin(exif);
  add_field(exif, kFirstLink, tag, kAscii, text.size() + 1, text + '\0', replace);
}

void exif_add_resolution(std::string& exif, double x, double y) {
  begin(exif);
  double there = 0;
  if (exif_resolution(exif, there, there)) return;
  const bool little = Block(exif).little();
  for (const auto& [tag, v] : {std::pair{uint16_t(0x011a), x}, {uint16_t(0x011b), y}}) {
    std::string value(8, '\0');
    put32(value, 0, little, uint32_t(std::lround(std::min(v, 4e7) * 100)));
    put32(value, 4, little, 100);
    add_field(exif, kFirstLink, tag, kRational, 1, value, true);
  }
  std::string inches(4, '\0');
  put16(inches, 0, little, 2);
  add_field(exif, kFirstLink, 0x0128, kShort, 1, inches, true);
}

void exif_add_comment(std::string& exif, const std::string& text) {
  begin(exif);
  if (!Block(exif).valid()) return;
  if (const bool little = Block(exif).little(); !Block(exif).find(Block(exif).first(), kExifDirectory)) {
    exif.append(exif.size() % 2, '\0');
    std::string here(4, '\0');
    put32(here, 0, little, uint32_t(exif.size()));
    exif.append(6, '\0');  // a directory without entries
    add_field(exif, kFirstLink, kExifDirectory, kLong, 1, here, false);
  }
  const size_t entry = Block(exif).find(Block(exif).first(), kExifDirectory);
  if (!entry) return;
  const bool ascii = std::none_of(text.begin(), text.end(), [](char c) { return c & 0x80; });
  const std::string value =
      ascii ? std::string("ASCII\0\0\0", 8) + text : std::string("UNICODE\0", 8) + utf16(text);
  add_field(exif, entry + 8, kUserComment, kUndefined, value.size(), value, false);
}

}  // namespace ups::apps
