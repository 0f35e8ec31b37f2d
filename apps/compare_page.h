// A web page in one file that lays pictures over each other with a slider between, zooms and pans.
#pragma once

#include <string>
#include <vector>

#include "apps/image_io.h"

namespace ups::apps {

struct PagePicture {
  std::string name;     // as shown
  const Image* pixels;  // embedded as 8-bit PNG; its size on the page is that of the largest
};

// cells: the table below the pictures, the first row its head.
void write_compare_page(const std::string& path, const std::string& title,
                        const std::vector<PagePicture>& pictures,
                        const std::vector<std::vector<std::string>>& cells);

// `upscale IN OUT --report PAGE`: source against result.
void write_report(const std::string& in, const std::string& out, const std::string& model,
                  const std::string& page);

}  // namespace ups::apps
