// A page that lists pictures and links to a page for each, which lie in a folder beside it: report.html and
// report_pages/. Rows go to the file as they come, so that memory does not grow with their number.
#pragma once

#include <string>
#include <vector>

#include "apps/codecs/image_io.h"

namespace ups::apps {

class PageIndex {
 public:
  // head: titles of the columns after the picture's. Throws Failure(kIo), here and below.
  PageIndex(const std::string& page, const std::string& title, const std::vector<std::string>& head);

  // name: a relative path such as "a/b.png". Its page and thumbnail; the folder is made.
  std::string page_for(const std::string& name) const;
  void put_thumbnail(const std::string& name, const Image& picture) const;
  // A row, linked to the page if there is one.
  void add(const std::string& name, const std::string& shown, const std::vector<std::string>& cells);
  void commit();

 private:
  OutputFile file_;
  std::string folder_;  // of the pages
};

// For text and attributes of a page.
std::string escaped_html(const std::string& text);

}  // namespace ups::apps
