// PNG chunks <-> Metadata.
#include "apps/codecs/png_chunks.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace ups::apps {
namespace {

constexpr size_t kMaxInflated = 64 << 20;
const std::string kXmpKey = "XML:com.adobe.xmp";

uint32_t u32be(std::string_view b, size_t i) {
  return uint32_t(uint8_t(b[i])) << 24 | uint32_t(uint8_t(b[i + 1])) << 16 |
         uint32_t(uint8_t(b[i + 2])) << 8 | uint8_t(b[i + 3]);
}

std::string be32(uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }

// "" when damaged or larger than `most`.
std::string inflated(std::string_view b, size_t most = kMaxInflated) {
  std::string out;
  z_stream z{};
  if (inflateInit(&z) != Z_OK) return "";
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(b.data()));
  z.avail_in = uInt(b.size());
  int rc = Z_OK;
  while (rc == Z_OK && out.size() < most) {
    size_t had = out.size();
    out.resize(had + (64 << 10));
    z.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    z.avail_out = 64 << 10;
    rc = inflate(&z, Z_NO_FLUSH);
    out.resize(out.size() - z.avail_out);
  }
  inflateEnd(&z);
  return rc == Z_STREAM_END ? out : "";
}

std::string deflated(const std::string& s) {
  uLongf n = compressBound(uLong(s.size()));
  std::string out(n, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &n, reinterpret_cast<const Bytef*>(s.data()),
            uLong(s.size()), 9);
  out.resize(n);
  return out;
}

// Whether a text chunk has this keyword; takes it off.
bool take_key(std::string_view& data, std::string_view key) {
  if (data.size() <= key.size() || data.substr(0, key.size()) != key || data[key.size()] != 0) return false;
  data.remove_prefix(key.size() + 1);
  return true;
}

// What an iTXt chunk says, behind its keyword.
std::string international_text(std::string_view data, size_t most = kMaxInflated) {
  if (data.size() < 4) return "";
  bool compressed = data[0] != 0;
  size_t language = data.find('\0', 2);
  size_t translated = language == data.npos ? data.npos : data.find('\0', language + 1);
  if (translated == data.npos) return "";
  data.remove_prefix(translated + 1);
  return compressed ? inflated(data, most) : std::string(data);
}

// UTF-8 (RFC 3629) without a thorough look at overlong forms; ASCII is not counted as such.
bool is_utf8_beyond_ascii(std::string_view s) {
  bool beyond = false;
  for (size_t i = 0; i < s.size(); i++) {
    const uint8_t lead = uint8_t(s[i]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xc2 && lead < 0xe0   ? 1
                     : lead >= 0xe0 && lead < 0xf0 ? 2
                     : lead >= 0xf0 && lead < 0xf5 ? 3
                                                   : 0;
    if (more == 0 || s.size() - i <= size_t(more)) return false;
    for (int k = 1; k <= more; k++)
      if ((uint8_t(s[i + size_t(k)]) & 0xc0) != 0x80) return false;
    i += size_t(more);
    beyond = true;
  }
  return beyond;
}

}  // namespace

Metadata::Chunk text_chunk(const std::string& key, const std::string& value) {
  if (!is_utf8_beyond_ascii(value)) return {"tEXt", key + '\0' + value};
  return {"iTXt", key + std::string("\0\0\0\0\0", 5) + value};  // not compressed, no language
}

std::vector<std::string> texts_of(const Metadata& m, std::string_view key) {
  std::vector<std::string> out;
  size_t left = kMaxInflated;  // of all of them: a file may hold thousands
  for (const auto& c : m.chunks) {
    std::string_view data = c.data;
    if (c.type.compare(2, 2, "Xt") != 0 || !take_key(data, key)) continue;
    if (c.type == "tEXt") out.emplace_back(data);
    if (c.type == "zTXt" && !data.empty()) out.push_back(inflated(data.substr(1), left));
    if (c.type == "iTXt") out.push_back(international_text(data, left));
    if (!out.empty()) left -= std::min(left, out.back().size());
  }
  return out;
}

bool png_chunks_fit(std::string_view b) {
  for (size_t at = 8; at + 8 <= b.size();) {
    const size_t n = u32be(b, at);
    if (n + 12 > b.size() - at) return false;
    if (b.substr(at + 4, 4) == "IEND") break;
    at += n + 12;
  }
  return true;
}

Metadata png_metadata(std::string_view b) {
  Metadata m;
  for (size_t at = 8; at + 12 <= b.size();) {
    size_t n = u32be(b, at);
    if (n > b.size() - at - 12) break;
    std::string_view type = b.substr(at + 4, 4), data = b.substr(at + 8, n);
    uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(type.data()), uInt(n + 4)));
    bool intact = crc == u32be(b, at + 8 + n);
    at += 12 + n;
    if (type == "IEND") break;
    if (!intact) continue;
    if (type == "iCCP" && m.icc.empty()) {
      size_t name = data.substr(0, 80).find('\0');
      if (name != data.npos && name + 2 <= n) m.icc = inflated(data.substr(name + 2));
    } else if (type == "eXIf" && m.exif.empty()) {
      m.exif = data;
      if (m.exif.rfind(std::string("Exif\0\0", 6), 0) == 0) m.exif.erase(0, 6);  // a common mistake
    } else if (type == "pHYs" && n == 9) {
      if (data[8] == 1) m.dpi_x = u32be(data, 0) * 0.0254, m.dpi_y = u32be(data, 4) * 0.0254;
      if (data[8] == 0) m.chunks.push_back({"pHYs", std::string(data)});  // an aspect ratio
    } else if (type == "iTXt" || type == "tEXt" || type == "zTXt") {
      std::string_view rest = data;
      std::string xmp = type == "iTXt" && take_key(rest, kXmpKey) ? international_text(rest) : "";
      if (!xmp.empty() && m.xmp.empty())
        m.xmp = xmp;
      else
        m.chunks.push_back({std::string(type), std::string(data)});
    } else if ((type == "gAMA" && n == 4) || (type == "cHRM" && n == 32) || (type == "sRGB" && n == 1) ||
               (type == "cICP" && n == 4)) {
      m.chunks.push_back({std::string(type), std::string(data)});
    }
  }
  return m;
}

std::vector<Metadata::Chunk> png_chunks_of(const Metadata& m) {
  std::vector<Metadata::Chunk> out;
  auto is_text = [](const Metadata::Chunk& c) { return c.type.compare(2, 2, "Xt") == 0; };
  if (!m.icc.empty()) out.push_back({"iCCP", std::string("icc\0\0", 5) + deflated(m.icc)});
  for (const auto& c : m.chunks) {
    if (is_text(c)) continue;
    if (c.type == "sRGB" && !m.icc.empty()) continue;  // the two exclude each other
    if (c.type == "pHYs" && m.dpi_x > 0) continue;
    out.push_back(c);
  }
  if (m.dpi_x > 0) {
    auto per_metre = [](double dpi) {
      return uint32_t(std::clamp(std::round(dpi / 0.0254), 1.0, 2147483647.0));
    };
    out.push_back({"pHYs", be32(per_metre(m.dpi_x)) + be32(per_metre(m.dpi_y)) + '\1'});
  }
  if (!m.exif.empty()) out.push_back({"eXIf", m.exif});
  if (!m.xmp.empty()) out.push_back({"iTXt", kXmpKey + std::string("\0\0\0\0\0", 5) + m.xmp});
  for (const auto& c : m.chunks) {
    if (is_text(c)) out.push_back(c);
  }
  return out;
}

}  // namespace ups::apps
