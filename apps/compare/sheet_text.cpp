// stb_easy_font: letters made of rectangles.
#include "apps/compare/sheet_text.h"

#include <algorithm>
#include <cstring>
#include <vector>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace ups::apps {
namespace {

constexpr int kScale = 2;  // pixels of a dot
constexpr uint8_t kLight = 225;

// One '?' for each letter that is not ASCII.
std::string ascii_of(const std::string& text) {
  std::string out;
  for (char c : text) {
    if ((c & 0xc0) == 0x80) continue;  // the rest of a letter of UTF-8
    out += c >= 32 && c < 127 ? c : '?';
  }
  return out;
}

int width_of(std::string text) { return kScale * stb_easy_font_width(text.data()); }

}  // namespace

void draw_text(Image& rgb, int x, int y, int width, const std::string& text) {
  std::string line = ascii_of(text).substr(0, 1000);
  for (size_t kept = line.size(); width_of(line) > width && kept > 2;) {
    kept--;
    const std::string all = ascii_of(text);
    line = all.substr(0, kept / 2) + "..." + all.substr(all.size() - (kept - kept / 2));
  }
  struct Vertex {
    float x, y, z;
    uint8_t colour[4];
  };
  std::vector<Vertex> v(line.size() * 100);
  const int quads = stb_easy_font_print(0, 0, line.data(), nullptr, v.data(), int(v.size() * sizeof(Vertex)));
  for (int q = 0; q < quads; q++) {  // the first corner is the upper left one, the third the lower right one
    const Vertex &from = v[size_t(q) * 4], &to = v[size_t(q) * 4 + 2];
    const int x0 = x + int(from.x * kScale), x1 = std::min(x + int(to.x * kScale), x + width);
    for (int row = y + int(from.y * kScale); row < std::min(y + int(to.y * kScale), rgb.height); row++)
      for (int i = std::max(x0, 0); i < std::min(x1, rgb.width); i++)
        memset(rgb.row(row) + 3 * size_t(i), kLight, 3);
  }
}

}  // namespace ups::apps
