// Lays pictures out.
#include "apps/compare/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "apps/codecs/pixel_format.h"
#include "apps/compare/metrics.h"
#include "apps/compare/sheet_text.h"

namespace ups::apps {
namespace {

constexpr int kCell = 480, kGap = 8;
constexpr uint8_t kBackground = 32;
constexpr int kDetail = 160, kZoom = kCell / kDetail;  // pixels of the largest picture, each shown as 3x3

void paste(Image& sheet, const Image& picture, int x, int y) {
  for (int row = 0; row < picture.height; row++)
    memcpy(sheet.row(y + row) + 3 * size_t(x), picture.row(row), picture.row_bytes());
}

Image cropped(const Image& in, int x, int y, int width, int height) {
  Image out = allocate_image(width, height, in.channels, in.depth);
  for (int row = 0; row < height; row++)
    memcpy(out.row(row), in.row(y + row) + 3 * size_t(x), out.row_bytes());
  return out;
}

// What lies around the detail's centre: `side` pixels of a picture `largest` wide, fewer of smaller ones.
Image detail_of(const Image& rgb, const SheetDetail& detail, int largest) {
  const double share = double(rgb.width) / largest;
  const int side = std::max(1, int(std::lround(kDetail * share)));
  const int w = std::min(side, rgb.width), h = std::min(side, rgb.height);
  const int x = std::clamp(int(detail.x * rgb.width) - w / 2, 0, rgb.width - w);
  const int y = std::clamp(int(detail.y * rgb.height) - h / 2, 0, rgb.height - h);
  const int to_w = std::clamp(int(std::lround(w / share)) * kZoom, 1, kCell);
  const int to_h = std::clamp(int(std::lround(h / share)) * kZoom, 1, kCell);
  return resized(cropped(rgb, x, y, w, h), to_w, to_h, UPS_U8, UPS_FILTER_NEAREST);
}

}  // namespace

Image contact_sheet(const std::vector<SheetPicture>& pictures, const SheetDetail& detail, int columns) {
  columns = std::clamp(columns, 1, int(pictures.size()));
  const int rows = (int(pictures.size()) + columns - 1) / columns;
  int largest = 1;
  for (const SheetPicture& p : pictures) largest = std::max(largest, p.pixels->width);
  std::vector<Image> wholes, details;
  int whole_height = 1, detail_height = 1;  // of the highest
  for (const SheetPicture& p : pictures) {
    const Image rgb = rgb_of(*p.pixels);
    const double f = double(kCell) / std::max(rgb.width, rgb.height);
    wholes.push_back(resized(rgb, std::clamp(int(std::lround(rgb.width * f)), 1, kCell),
                             std::clamp(int(std::lround(rgb.height * f)), 1, kCell), UPS_U8,
                             UPS_FILTER_BICUBIC));
    details.push_back(detail_of(rgb, detail, largest));
    whole_height = std::max(whole_height, wholes.back().height);
    detail_height = std::max(detail_height, details.back().height);
  }
  const int row_height = 2 * kTextHeight + whole_height + kGap + detail_height + 2 * kGap;
  Image sheet = allocate_image(columns * (kCell + kGap) + kGap, rows * row_height + kGap, 3, UPS_U8);
  std::fill_n(sheet.pixels.get(), sheet.bytes(), kBackground);
  for (size_t i = 0; i < pictures.size(); i++) {
    const Image &whole = wholes[i], &enlarged = details[i];
    const int x = kGap + int(i) % columns * (kCell + kGap);
    int y = kGap + int(i) / columns * row_height;
    draw_text(sheet, x, y, kCell, pictures[i].name);
    draw_text(sheet, x, y + kTextHeight, kCell, pictures[i].figures);
    y += 2 * kTextHeight;
    paste(sheet, whole, x + (kCell - whole.width) / 2, y + (whole_height - whole.height) / 2);
    y += whole_height + kGap;
    paste(sheet, enlarged, x + (kCell - enlarged.width) / 2, y + (detail_height - enlarged.height) / 2);
  }
  return sheet;
}

Image stacked(const std::vector<Image>& sheets) {
  int width = 1, height = 0;
  for (const Image& s : sheets) width = std::max(width, s.width), height += s.height;
  Image all = allocate_image(width, std::max(1, height), 3, UPS_U8);
  std::fill_n(all.pixels.get(), all.bytes(), kBackground);
  int y = 0;
  for (const Image& s : sheets) paste(all, s, 0, y), y += s.height;
  return all;
}

}  // namespace ups::apps
