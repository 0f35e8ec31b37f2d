// A web page in one file that lays pictures over each other with a slider between, zooms and pans.
#pragma once

#include <string>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/size.h"

namespace ups::apps {

// Where a picture lies in the frame, in the frame's pixels. What sticks out is not shown.
struct PagePlace {
  double x = 0, y = 0, width = 0, height = 0;
};

struct PagePicture {
  std::string name;     // as shown
  const Image* pixels;  // embedded as 8-bit PNG with its colour profile
  PagePlace place;
};

// width x height: the frame, whose pixels are those of "1:1". cells: the table below the pictures: a head,
// one row for each picture, further rows.
void write_compare_page(const std::string& path, const std::string& title, int width, int height,
                        const std::vector<PagePicture>& pictures,
                        const std::vector<std::vector<std::string>>& cells);

// `upscale IN OUT --report PAGE`: source against result; `plan` says where the source lies in it.
// Returns the result as it was read again.
Image write_report(const std::string& in, const std::string& out, const std::string& model,
                   const SizePlan& plan, const std::string& page);

}  // namespace ups::apps
