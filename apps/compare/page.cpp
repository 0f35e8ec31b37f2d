// Markup around the pictures, which are data URIs; style and script are in page_text.cpp.
#include "apps/compare/page.h"

#include <mbedtls/base64.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/codecs/pixel_format.h"
#include "apps/compare/metrics.h"
#include "apps/compare/page_index.h"
#include "apps/compare/page_text.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr int kMostSide = 8192;  // browsers show no larger pictures reliably

std::string base64(const std::string& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and the zero at the end
  size_t length = 0;
  mbedtls_base64_encode(reinterpret_cast<unsigned char*>(out.data()), out.size(), &length,
                        reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  out.resize(length);
  return out;
}

std::string png_bytes(const Image& picture, const std::string& page) {
  const double f = std::min(1.0, double(kMostSide) / std::max(picture.width, picture.height));
  Image out = f < 1 ? resized(picture, std::max(1, int(picture.width * f)),
                              std::max(1, int(picture.height * f)), UPS_U8, UPS_FILTER_BICUBIC)
                    : convert_depth(copy_of(picture.view()), UPS_U8);
  out.meta.icc = picture.meta.icc;  // what the colours mean; the rest is not for showing
  for (const Metadata::Chunk& c : picture.meta.chunks)
    if (c.type == "gAMA" || c.type == "cHRM" || c.type == "sRGB" || c.type == "cICP")
      out.meta.chunks.push_back(c);
  OutputFile file(page);  // never committed: a place to write to on the disk that will hold the page
  encode_image(file, Format::png, std::move(out), {});
  return file.written();
}

}  // namespace

void write_compare_page(const std::string& path, const std::string& title, int width, int height,
                        const std::vector<PagePicture>& pictures,
                        const std::vector<std::vector<std::string>>& cells) {
  OutputFile file(path);
  auto put = [&](const std::string& s) { file.write(s.data(), s.size()); };
  put("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"dark\">\n<title>" +
      escaped_html(title) + "</title>\n<style>" + kPageStyle + "</style></head>\n<body>\n<header>");
  for (const char* side : {"left", "right"}) {
    put(std::string("<label>") + side + " <select id=\"" + side + "\">");
    const size_t chosen = *side == 'l' ? 0 : pictures.size() - 1;
    for (size_t i = 0; i < pictures.size(); i++) {
      put("<option value=\"" + std::to_string(i) + "\"" + (i == chosen ? " selected" : "") + ">" +
          escaped_html(pictures[i].name) + "</option>");
    }
    put("</select></label>\n");
  }
  put("<button id=\"swap\" title=\"left and right change places (s)\">swap</button><span "
      "class=\"space\"></span>\n"
      "<button id=\"diff\" aria-pressed=\"false\" title=\"how far they are apart, four times as strong (d)\">"
      "difference</button>\n"
      "<button id=\"smooth\" aria-pressed=\"false\" title=\"no visible pixels when zoomed "
      "in\">smooth</button>\n"
      "<button id=\"fit\" title=\"all of it (0)\">fit</button>\n"
      "<button id=\"one\" title=\"pixel for pixel (1)\">1:1</button>\n<span id=\"zoom\"></span></header>\n"
      "<div id=\"stage\"><div id=\"paper\"></div><div id=\"layer\">\n");
  for (const PagePicture& p : pictures) {
    put("<img alt=\"" + escaped_html(p.name) + "\" draggable=\"false\" src=\"data:image/png;base64,");
    put(base64(png_bytes(*p.pixels, path)));
    put("\">\n");
  }
  put("</div><div id=\"bar\"></div><div class=\"name\" id=\"name-left\"></div>"
      "<div class=\"name\" id=\"name-right\"></div></div>\n<footer><table>\n");
  for (size_t r = 0; r < cells.size(); r++) {
    put(r && r <= pictures.size() ? "<tr data-picture=\"" + std::to_string(r - 1) + "\">" : "<tr>");
    for (const std::string& c : cells[r]) put((r ? "<td>" : "<th>") + escaped_html(c));
    put("\n");
  }
  put("</table>\n<p class=\"hint\">Wheel, pinch, + and \xE2\x88\x92: zoom &middot; drag: move &middot; bar, "
      "&larr; and &rarr;: where left ends &middot; hold space: the right one alone &middot; double click: fit"
      "</p></footer>\n<script>\nconst frame = [" +
      std::to_string(width) + ", " + std::to_string(height) + "], places = [");
  for (const PagePicture& p : pictures) {
    char place[120];
    snprintf(place, sizeof place, "%s[%.9g, %.9g, %.9g, %.9g]", &p == pictures.data() ? "" : ", ", p.place.x,
             p.place.y, p.place.width, p.place.height);
    put(place);
  }
  put(std::string("];") + kPageScript + "</script></body></html>\n");
  file.commit();
}

Image write_report(const std::string& in, const std::string& out, const std::string& model,
                   const SizePlan& plan, const std::string& page) {
  const Image source = read_image(in);
  Image result = read_image(out);
  auto size = [](const Image& i) { return std::to_string(i.width) + "x" + std::to_string(i.height); };
  auto name = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  const std::string made_by = plan.same() ? model
                                          : model + ", " + std::to_string(plan.picture_width) + "x" +
                                                std::to_string(plan.picture_height) +
                                                (plan.x < 0 || plan.y < 0 ? " cropped" : " padded");
  write_compare_page(
      page, name(in) + " and " + name(out), plan.width, plan.height,
      {{name(in),
        &source,
        {double(plan.x), double(plan.y), double(plan.picture_width), double(plan.picture_height)}},
       {name(out), &result, {0, 0, double(plan.width), double(plan.height)}}},
      {{"picture", "size", "made by"},
       {name(in), size(source), "the source"},
       {name(out), size(result), made_by}});
  return result;
}

}  // namespace ups::apps
