// `upscale compare`: figures, a contact sheet and a page to look at.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/command_list.h"
#include "apps/compare_page.h"
#include "apps/contact_sheet.h"
#include "apps/failure.h"
#include "apps/metrics.h"
#include "apps/options/values.h"

namespace ups::apps {
namespace {

// "31.2345", "inf", "-".
std::string figure(const std::optional<double>& v) {
  if (!v) return "-";
  if (std::isinf(*v)) return "inf";
  char text[32];
  snprintf(text, sizeof text, "%.4f", *v);
  return text;
}

nlohmann::ordered_json json_of(const std::optional<double>& v) {
  return v && std::isfinite(*v) ? nlohmann::ordered_json(*v) : nlohmann::ordered_json(nullptr);
}

std::string size_of(const Image& i) { return std::to_string(i.width) + "x" + std::to_string(i.height); }

void refuse_input(const char* option, const std::string& path, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const std::string& in : inputs)
    if (std::filesystem::equivalent(path, in, ignored))
      fail(kUsage, option, ": ", path, " is one of the pictures");
}

}  // namespace

const SmallSyntax& compare_syntax() {
  static const SmallSyntax syntax = {
      "compare",
      "A B...",
      "PSNR, SSIM and the largest difference; pictures beside and over each other",
      {{"--reference", "R", "what A, B ... are measured against; default: A"},
       {"--crop-border", "N", "pixels left out at each side (0); papers leave out as many as the scale"},
       {"--sheet", "OUT.png", "a contact sheet: one column a picture, whole and a detail"},
       {"--html", "OUT.html", "one page with a slider between any two, zoom and the figures"},
       {"--json", "", "figures for programs"}},
      1,
      64,
      "PSNR and SSIM are those of BasicSR: of colours rounded to 8 bits, and of their luma Y (16..235); SSIM "
      "with\n"
      "a Gaussian window of 11 pixels. The largest difference is in levels of 255, at full depth, with its "
      "place.\n"
      "The detail of the sheet lies where the last picture differs most from the first or the reference.\n"};
  return syntax;
}

int compare_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(compare_syntax(), arguments, a)) return kOk;
  const char *reference = a.value("--reference"), *border_text = a.value("--crop-border");
  const int border = border_text ? int(Value{"--crop-border", border_text}.integer(0, 100000)) : 0;
  std::vector<std::string> paths = a.positional;
  if (reference) paths.insert(paths.begin(), reference);
  if (paths.size() < 2) fail(kUsage, "compare: got one picture, expected at least two or --reference R");
  for (const char* option : {"--sheet", "--html"})
    if (a.value(option)) refuse_input(option, a.value(option), paths);
  if (const char* sheet = a.value("--sheet"); sheet && format_of_path(sheet) != Format::png)
    fail(kUsage, "--sheet: got ", sheet, ", expected a name ending in .png");

  std::vector<Image> images;
  for (const std::string& p : paths) images.push_back(read_image(p));
  std::vector<std::vector<std::string>> cells = {
      {"picture", "size", "PSNR", "PSNR-Y", "SSIM", "SSIM-Y", "largest"}};
  cells.push_back({paths[0], size_of(images[0]), "", "", "", "", ""});
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  Difference last;
  for (size_t i = 1; i < images.size(); i++) {
    if (images[i].width != images[0].width || images[i].height != images[0].height) {
      fail(kUsage, "compare: ", paths[i], " has ", size_of(images[i]), " pixels and ", paths[0], " ",
           size_of(images[0]), ", expected one size");
    }
    last = difference(images[i], images[0], border);
    char largest[80];
    snprintf(largest, sizeof largest, "%.6g at %d,%d", last.largest, last.x, last.y);
    cells.push_back({paths[i], size_of(images[i]), figure(last.psnr), figure(last.psnr_y), figure(last.ssim),
                     figure(last.ssim_y), largest});
    rows.push_back({{"picture", paths[i]},
                    {"reference", paths[0]},
                    {"psnr", json_of(last.psnr)},
                    {"psnr_y", json_of(last.psnr_y)},
                    {"ssim", json_of(last.ssim)},
                    {"ssim_y", json_of(last.ssim_y)},
                    {"largest", last.largest},
                    {"largest_at", {last.x, last.y}},
                    {"crop_border", border}});
  }
  if (a.flag("--json")) {
    printf("%s\n", rows.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  } else {
    size_t width = 0;
    for (const auto& row : cells) width = std::max(width, row[0].size());
    for (const auto& r : cells) {
      std::string line = r[0] + std::string(width - r[0].size(), ' ');
      char rest[160];
      snprintf(rest, sizeof rest, "  %11s  %8s  %8s  %7s  %7s  %s", r[1].c_str(), r[2].c_str(), r[3].c_str(),
               r[4].c_str(), r[5].c_str(), r[6].c_str());
      line += rest;
      printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
    }
  }
  if (const char* sheet = a.value("--sheet")) {
    std::vector<const Image*> pictures;
    for (const Image& i : images) pictures.push_back(&i);
    const SheetDetail detail = {(last.x + 0.5) / images[0].width, (last.y + 0.5) / images[0].height};
    OutputFile file(sheet);
    write_image(file, Format::png, contact_sheet(pictures, detail, 4), {});
  }
  if (const char* html = a.value("--html")) {
    std::vector<PagePicture> pictures;
    for (size_t i = 0; i < images.size(); i++)
      pictures.push_back({std::filesystem::path(paths[i]).filename().string(), &images[i]});
    write_compare_page(html, "upscale compare", pictures, cells);
  }
  return kOk;
}

}  // namespace ups::apps
