// Several pictures side by side in one PNG: whole, and below each the same detail enlarged.
#pragma once

#include <string>
#include <vector>

#include "apps/codecs/image_io.h"

namespace ups::apps {

struct SheetPicture {
  std::string name, figures;  // two lines above it
  const Image* pixels;
};

struct SheetDetail {
  double x = 0.5, y = 0.5;  // its centre, in 0..1 of the pictures
};

// One column a picture, in order, at most `columns` beside each other. Pictures of any size; 8-bit RGB.
Image contact_sheet(const std::vector<SheetPicture>& pictures, const SheetDetail& detail, int columns);

// Sheets below each other.
Image stacked(const std::vector<Image>& sheets);

}  // namespace ups::apps
