// Headers of PNG, JPEG, GIF, BMP and WebP. A wrong number only makes an estimate wrong.
#include "apps/codecs/pixel_count.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <memory>

namespace ups::apps {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

int64_t big(const uint8_t* b, int n) {
  int64_t v = 0;
  for (int i = 0; i < n; i++) v = v << 8 | b[i];
  return v;
}

int64_t little(const uint8_t* b, int n) {
  int64_t v = 0;
  for (int i = n; i-- > 0;) v = v << 8 | b[i];
  return v;
}

// Walks the segments up to the frame header (SOF).
int64_t jpeg_pixels(FILE* f) {
  long at = 2;
  for (int segments = 0; segments < 1000; segments++) {
    uint8_t b[9];
    if (fseek(f, at, SEEK_SET) != 0 || fread(b, 1, sizeof b, f) != sizeof b || b[0] != 0xff) return 0;
    if (b[1] == 0xff) {
      at++;  // a fill byte
      continue;
    }
    if (b[1] >= 0xc0 && b[1] <= 0xcf && b[1] != 0xc4 && b[1] != 0xc8 && b[1] != 0xcc)
      return big(b + 5, 2) * big(b + 7, 2);
    at += 2 + long(big(b + 2, 2));
  }
  return 0;
}

}  // namespace

int64_t pixels_in_header(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return 0;  // a pipe would lose what is read
  File f(fopen(path.c_str(), "rb"), fclose);
  uint8_t b[32] = {};
  if (!f || fread(b, 1, sizeof b, f.get()) < 26) return 0;
  auto is = [&](int at, const char* text) { return memcmp(b + at, text, strlen(text)) == 0; };
  if (is(0, "\x89PNG")) return big(b + 16, 4) * big(b + 20, 4);
  if (is(0, "\xff\xd8")) return jpeg_pixels(f.get());
  if (is(0, "GIF8")) return little(b + 6, 2) * little(b + 8, 2);
  if (is(0, "BM")) return little(b + 18, 4) * (little(b + 22, 4) & 0x7fffffff);
  if (is(0, "RIFF") && is(12, "VP8 ")) return (little(b + 26, 2) & 0x3fff) * (little(b + 28, 2) & 0x3fff);
  if (is(0, "RIFF") && is(12, "VP8L")) {
    int64_t bits = little(b + 21, 4);
    return ((bits & 0x3fff) + 1) * ((bits >> 14 & 0x3fff) + 1);
  }
  if (is(0, "RIFF") && is(12, "VP8X")) return (little(b + 24, 3) + 1) * (little(b + 27, 3) + 1);
  return 0;
}

}  // namespace ups::apps
