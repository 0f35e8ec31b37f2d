// The list and its thumbnails; page.cpp writes the pages.
#include "apps/compare/page_index.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "apps/codecs/pixel_format.h"
#include "apps/compare/page_text.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

constexpr int kThumbnailSide = 240;

// A relative path as a link: everything but letters, digits and -._~/ as %XX.
std::string link_of(const std::string& path) {
  static const char* const digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    if (isalnum(uint8_t(c)) || std::string_view("-._~/").find(c) != std::string_view::npos)
      out += c;
    else
      out += {'%', digits[uint8_t(c) >> 4], digits[uint8_t(c) & 15]};
  }
  return out;
}

// The name with an extension more; shortened where a file system would not take it.
std::string file_of(const std::string& name, const char* extension) {
  const size_t slash = name.rfind('/'), begin = slash == name.npos ? 0 : slash + 1;
  if (name.size() - begin <= 240) return name + extension;
  return name.substr(0, begin + 200) + "-" + std::to_string(std::hash<std::string>()(name)) + extension;
}

std::string path_in(const std::string& folder, const std::string& name, const char* extension) {
  return (fs::path(folder) / file_of(name, extension)).string();
}

}  // namespace

std::string escaped_html(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

PageIndex::PageIndex(const std::string& page, const std::string& title, const std::vector<std::string>& head)
    : file_(page), folder_((fs::path(page).parent_path() / fs::path(page).stem()).string() + "_pages") {
  make_folder(folder_);
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      escaped_html(title) + "</title>\n<style>" + kIndexStyle + "</style></head>\n<body>\n<h1>" +
      escaped_html(title) + "</h1>\n<table>\n<tr><th>picture";
  for (const std::string& h : head) text += "<th>" + escaped_html(h);
  text += "\n";
  file_.write(text.data(), text.size());
}

std::string PageIndex::page_for(const std::string& name) const {
  const std::string path = path_in(folder_, name, ".html");
  make_folder(fs::path(path).parent_path().string());
  return path;
}

void PageIndex::put_thumbnail(const std::string& name, const Image& picture) const {
  const double f = std::min(1.0, double(kThumbnailSide) / std::max(picture.width, picture.height));
  Image small = resized(picture, std::max(1, int(picture.width * f)), std::max(1, int(picture.height * f)),
                        UPS_U8, UPS_FILTER_BICUBIC);
  OutputFile file(path_in(folder_, name, ".jpg"));
  write_image(file, Format::jpeg, std::move(small), {.quality = 85, .background = {0.06f, 0.06f, 0.07f}});
}

void PageIndex::add(const std::string& name, const std::string& shown,
                    const std::vector<std::string>& cells) {
  std::error_code ignored;
  const std::string base = fs::path(folder_).filename().string() + "/";
  std::string text = "<tr><td>";
  const bool linked = fs::exists(path_in(folder_, name, ".html"), ignored);
  if (linked) text += "<a href=\"" + link_of(base + file_of(name, ".html")) + "\">";
  if (fs::exists(path_in(folder_, name, ".jpg"), ignored))
    text += "<img loading=\"lazy\" alt=\"\" src=\"" + link_of(base + file_of(name, ".jpg")) + "\">";
  text += escaped_html(shown) + (linked ? "</a>" : "");
  for (const std::string& c : cells) text += "<td>" + escaped_html(c);
  text += "\n";
  file_.write(text.data(), text.size());
}

void PageIndex::commit() {
  const std::string end = "</table></body></html>\n";
  file_.write(end.data(), end.size());
  file_.commit();
}

}  // namespace ups::apps
