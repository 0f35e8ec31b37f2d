// Reads three levels of directories at most and writes them anew.
#include "apps/codecs/exif_directories.h"

#include <algorithm>
#include <iterator>

namespace ups::apps {
namespace {

constexpr uint16_t kLong = 4, kLong8 = 16;

size_t bytes_of(uint16_t type) {  // 0: not one of EXIF's
  static constexpr uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
  return type < std::size(sizes) ? sizes[type] : type == kLong8 ? 8 : 0;
}

size_t unit_of(uint16_t type) {  // that the byte order is about
  const bool rational = type == 5 || type == 10;
  return rational ? 4 : bytes_of(type);
}

// Sizes of the parts of both kinds of TIFF.
struct Form {
  bool big;
  size_t header() const { return big ? 16 : 8; }
  size_t first_at() const { return big ? 8 : 4; }  // where the offset of the first directory stands
  size_t offset() const { return big ? 8 : 4; }
  size_t count() const { return big ? 8 : 2; }
  size_t entry() const { return big ? 20 : 12; }
};

// Tags of the first directory that are true of any copy: texts, resolution, ratings, and orientation.
bool is_of_picture(uint16_t tag) {
  static constexpr uint16_t tags[] = {0x000b, 0x010d, 0x010e, 0x010f, 0x0110, 0x0112, 0x011a, 0x011b, 0x011d,
                                      0x0128, 0x0131, 0x0132, 0x013b, 0x013c, 0x4746, 0x4749, 0x8298, 0x9c9b,
                                      0x9c9c, 0x9c9d, 0x9c9e, 0x9c9f, 0xc4a5, 0xc614, 0xc62f};
  return std::binary_search(std::begin(tags), std::end(tags), tag);
}

class Structure {
 public:
  explicit Structure(std::string_view bytes) : b_(bytes) {
    const std::string_view head = b_.substr(0, 4);
    form_.big = head == std::string_view("II+\0", 4) || head == std::string_view("MM\0+", 4);
    little_ = head.empty() || head[0] != 'M';
    valid_ = b_.size() >= form_.header() &&
             (form_.big || head == std::string_view("II*\0", 4) || head == std::string_view("MM\0*", 4));
    left_ = b_.size();
  }
  bool valid() const { return valid_; }
  bool little() const { return little_; }
  bool big() const { return form_.big; }
  uint64_t first() const { return valid_ ? number(form_.first_at(), form_.offset()) : 0; }

  uint64_t entries(uint64_t at) const {
    if (!valid_ || at < form_.header() || at > b_.size() || b_.size() - at < form_.count()) return 0;
    const uint64_t n = number(at, form_.count());
    return n <= (b_.size() - at - form_.count()) / form_.entry() ? n : 0;
  }
  uint64_t entry_at(uint64_t directory, uint64_t k) const {
    return directory + form_.count() + form_.entry() * k;
  }
  uint16_t tag(uint64_t entry) const { return uint16_t(number(entry, 2)); }

  // The offset that an entry points to, 0 when there is none.
  uint64_t pointer(uint64_t directory, uint16_t wanted) const {
    for (uint64_t k = 0, n = entries(directory); k < n; k++) {
      const uint64_t e = entry_at(directory, k);
      if (tag(e) == wanted) return number(e + 4 + form_.offset(), form_.offset());
    }
    return 0;
  }

  // Adds what `keep` wants.
  template <class Keep>
  void read(uint64_t directory, std::vector<ExifField>& fields, Keep keep) {
    for (uint64_t k = 0, n = entries(directory); k < n; k++) {
      const uint64_t e = entry_at(directory, k);
      ExifField f{tag(e), uint16_t(number(e + 2, 2)), number(e + 4, form_.offset()), {}};
      const size_t size = f.type == kLong8 ? 0 : bytes_of(f.type);
      if (!keep(f.tag) || size == 0 || f.count > b_.size() / size) continue;
      const size_t bytes = size_t(f.count) * size, inside = e + 4 + form_.offset();
      const uint64_t at = bytes <= form_.offset() ? inside : number(inside, form_.offset());
      if (at > b_.size() || bytes > b_.size() - at || bytes + form_.entry() > left_) continue;
      left_ -= bytes + form_.entry();  // many entries may share one value
      f.value = b_.substr(at, bytes);
      fields.push_back(f);
    }
    std::stable_sort(fields.begin(), fields.end(),
                     [](const ExifField& a, const ExifField& b) { return a.tag < b.tag; });
    fields.erase(std::unique(fields.begin(), fields.end(),
                             [](const ExifField& a, const ExifField& b) { return a.tag == b.tag; }),
                 fields.end());
    if (fields.size() > 60000) fields.resize(60000);  // a classic directory counts in 16 bits
  }

 private:
  uint64_t number(size_t at, size_t bytes) const {
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) v = v << 8 | uint8_t(b_[little_ ? at + bytes - 1 - i : at + i]);
    return v;
  }

  std::string_view b_;
  Form form_{};
  bool little_ = true, valid_ = false;
  size_t left_ = 0;  // how many bytes of fields may still be taken
};

class Writer {
 public:
  // swap: the values that put() gets are of the other byte order.
  Writer(bool little, bool big, bool swap) : form_{big}, little_(little), swap_(swap) {
    out_.assign(2, little ? 'I' : 'M');
    number(big ? 43 : 42, 2);
    if (big) number(8, 2), number(0, 2);
    number(0, form_.offset());
  }

  // A directory with its values behind it; returns where it begins.
  uint64_t put(const std::vector<ExifField>& fields) {
    if (out_.size() % 2) out_ += '\0';
    const uint64_t begin = out_.size();
    uint64_t value = begin + form_.count() + form_.entry() * fields.size() + form_.offset();
    number(fields.size(), form_.count());
    std::string values;
    for (const ExifField& f : fields) {
      number(f.tag, 2), number(f.type, 2), number(f.count, form_.offset());
      std::string stored(f.value);
      if (const size_t n = unit_of(f.type); swap_)
        for (size_t i = 0; i < stored.size(); i += n)
          std::reverse(stored.begin() + ptrdiff_t(i), stored.begin() + ptrdiff_t(i + n));
      if (stored.size() <= form_.offset()) {
        out_ += stored.append(form_.offset() - stored.size(), '\0');
        continue;
      }
      number(value + values.size(), form_.offset());
      values += stored;
      if (values.size() % 2) values += '\0';
    }
    number(0, form_.offset());  // no further directory
    out_ += values;
    return begin;
  }

  // The value of a field that points to a directory.
  std::string pointer(uint64_t offset) const { return text_of(offset, form_.offset(), little_ != swap_); }
  uint16_t pointer_type() const { return form_.big ? kLong8 : kLong; }

  std::string finish(uint64_t first) {
    out_.replace(form_.first_at(), form_.offset(), text_of(first, form_.offset(), little_));
    return std::move(out_);
  }

 private:
  static std::string text_of(uint64_t v, size_t bytes, bool little) {
    std::string text;
    for (size_t i = 0; i < bytes; i++) text += char(v >> 8 * (little ? i : bytes - 1 - i));
    return text;
  }
  void number(uint64_t v, size_t bytes) { out_ += text_of(v, bytes, little_); }

  Form form_;
  bool little_, swap_;
  std::string out_;
};

}  // namespace

ExifDirectories exif_directories(std::string_view tiff) {
  Structure s(tiff);
  ExifDirectories d;
  d.little = s.little(), d.big = s.big();
  const uint64_t first = s.first(), exif = s.pointer(first, uint16_t(ExifDirectory::exif));
  const auto all_but_pointers = [](uint16_t tag) {
    return tag != uint16_t(ExifDirectory::exif) && tag != uint16_t(ExifDirectory::gps) &&
           tag != uint16_t(ExifDirectory::interoperability);
  };
  s.read(first, d.picture, is_of_picture);
  s.read(exif, d.exif, all_but_pointers);
  s.read(s.pointer(first, uint16_t(ExifDirectory::gps)), d.gps, all_but_pointers);
  s.read(s.pointer(exif, uint16_t(ExifDirectory::interoperability)), d.interoperability, all_but_pointers);
  return d;
}

std::string exif_block(const ExifDirectories& d, bool little, bool big) {
  if (d.empty()) return "";
  Writer w(little, big, little != d.little);
  std::vector<std::string> pointers;
  pointers.reserve(3);  // fields below see into them
  auto with = [&](std::vector<ExifField> fields, ExifDirectory tag, uint64_t offset) {
    pointers.push_back(w.pointer(offset));
    const ExifField f{uint16_t(tag), w.pointer_type(), 1, pointers.back()};
    fields.insert(
        std::find_if(fields.begin(), fields.end(), [&](const ExifField& k) { return k.tag > f.tag; }), f);
    return fields;
  };
  std::vector<ExifField> first = d.picture, exif = d.exif;
  if (!d.interoperability.empty())
    exif = with(std::move(exif), ExifDirectory::interoperability, w.put(d.interoperability));
  if (!exif.empty()) first = with(std::move(first), ExifDirectory::exif, w.put(exif));
  if (!d.gps.empty()) first = with(std::move(first), ExifDirectory::gps, w.put(d.gps));
  return w.finish(w.put(first));
}

uint64_t exif_directory_offset(std::string_view block, ExifDirectory which) {
  Structure s(block);
  const uint64_t at = s.pointer(s.first(), uint16_t(which));
  return s.entries(at) > 0 ? at : 0;
}

}  // namespace ups::apps
