// Calls the metrics; prints what they say.
#include "apps/compare/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/terminal.h"

namespace ups::apps {
namespace {

using Json = nlohmann::ordered_json;

// "31.2345", "inf", "-".
std::string text_of(const std::optional<double>& v) {
  if (!v) return "-";
  if (std::isinf(*v)) return "inf";
  char text[400];
  snprintf(text, sizeof text, "%.4f", *v);
  return text;
}

Json number(const std::optional<double>& v) { return v && std::isfinite(*v) ? Json(*v) : Json(nullptr); }

struct Mean {
  double sum = 0;
  int count = 0;
  void add(const std::optional<double>& v) {
    if (v) sum += *v, count++;
  }
  std::optional<double> value() const { return count ? std::optional(sum / count) : std::nullopt; }
};

// Columns of a terminal: continuation bytes of UTF-8 take none.
size_t columns_of(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

Figures figures_of(const std::string& path, const Image& picture, const std::string& reference_path,
                   const Image* reference, int border, const NiqeParameters* parameters) {
  Figures f{path, reference_path, picture.width, picture.height, 0, {}, {}, {}};
  if (reference && picture.width == reference->width && picture.height == reference->height)
    f.difference = difference(picture, *reference, border);
  if (parameters) f.niqe = niqe(picture, border, *parameters);
  return f;
}

Figures mean_of(const std::vector<Figures>& rows) {
  Figures f;
  Mean psnr, psnr_y, ssim, ssim_y, niqe, niqe_reference;
  Difference mean;
  for (const Figures& r : rows) {
    if (!r.difference && !r.niqe) continue;
    f.mean_of++;
    niqe.add(r.niqe), niqe_reference.add(r.niqe_reference);
    if (!r.difference) continue;
    psnr.add(r.difference->psnr), psnr_y.add(r.difference->psnr_y);
    ssim.add(r.difference->ssim), ssim_y.add(r.difference->ssim_y);
    mean.largest = std::max(mean.largest, r.difference->largest);
  }
  if (psnr.count) {
    mean.psnr = *psnr.value(), mean.psnr_y = *psnr_y.value();
    mean.ssim = ssim.value(), mean.ssim_y = ssim_y.value();
    f.difference = mean;
  }
  f.niqe = niqe.value(), f.niqe_reference = niqe_reference.value();
  return f;
}

std::vector<std::vector<std::string>> table_of(const std::vector<Figures>& rows, bool niqe) {
  std::vector<std::vector<std::string>> table = {{"picture", "size", "PSNR", "PSNR-Y", "SSIM", "SSIM-Y"}};
  if (niqe) table[0].push_back("NIQE");
  table[0].push_back("largest");
  for (const Figures& r : rows) {
    const std::string mean = "mean of " + std::to_string(r.mean_of);
    std::vector<std::string> cells = {
        r.mean_of ? r.picture + (r.picture.empty() ? "" : ", ") + mean : r.picture,
        r.mean_of ? "" : std::to_string(r.width) + "x" + std::to_string(r.height)};
    char largest[80] = "";
    if (r.difference) {
      const Difference& d = *r.difference;
      for (const auto& v : {std::optional(d.psnr), std::optional(d.psnr_y), d.ssim, d.ssim_y})
        cells.push_back(text_of(v));
      if (r.mean_of)
        snprintf(largest, sizeof largest, "%.6g", d.largest);
      else
        snprintf(largest, sizeof largest, "%.6g at %d,%d", d.largest, d.x, d.y);
    } else {
      cells.insert(cells.end(), 4, r.reference.empty() ? "" : "-");
    }
    if (niqe) cells.push_back(text_of(r.niqe));
    cells.push_back(largest);
    table.push_back(std::move(cells));
  }
  return table;
}

std::string text_of(std::vector<std::vector<std::string>> table) {
  for (auto& row : table) row[0] = printable(row[0]);
  std::vector<size_t> widths(table.at(0).size());
  for (const auto& row : table)
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], columns_of(row[i]));
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++) {
      const std::string space(widths[i] - columns_of(row[i]), ' ');
      line += i == 0 ? row[i] + space : i + 1 == row.size() ? "  " + row[i] : "  " + space + row[i];
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string short_text_of(const Figures& f) {
  std::string text;
  auto add = [&](const char* name, const std::optional<double>& v, int digits) {
    if (!v) return;
    char figure[400];
    snprintf(figure, sizeof figure, "%.*f", digits, *v);  // "inf" of infinity
    text += std::string(text.empty() ? "" : "  ") + name + " " + figure;
  };
  if (f.difference) add("PSNR", f.difference->psnr, 2), add("SSIM", f.difference->ssim, 4);
  add("NIQE", f.niqe, 2);
  return text;
}

Json json_of(const Figures& f, int border) {
  Json row = {{"picture", f.picture}, {"reference", f.reference.empty() ? Json(nullptr) : Json(f.reference)}};
  if (f.mean_of)
    row["mean_of"] = f.mean_of;
  else
    row["size"] = {f.width, f.height};
  const Difference* d = f.difference ? &*f.difference : nullptr;
  row["psnr"] = d ? number(d->psnr) : Json(nullptr);
  row["psnr_y"] = d ? number(d->psnr_y) : Json(nullptr);
  row["ssim"] = d ? number(d->ssim) : Json(nullptr);
  row["ssim_y"] = d ? number(d->ssim_y) : Json(nullptr);
  row["niqe"] = number(f.niqe);
  row["reference_niqe"] = number(f.niqe_reference);
  row["largest"] = d ? Json(d->largest) : Json(nullptr);
  if (!f.mean_of) row["largest_at"] = d ? Json({d->x, d->y}) : Json(nullptr);
  row["crop_border"] = border;
  return row;
}

}  // namespace ups::apps
