// A picture on a canvas of another size: cropped where it sticks out, padded where it does not reach.
#pragma once

#include <optional>

#include "apps/image_io.h"
#include "apps/size.h"

namespace ups::apps {

// picture has plan.picture_width x picture_height pixels. Without a colour, padding is transparent, or black
// in a picture without alpha.
Image place_on_canvas(const Image& picture, const SizePlan& plan, const std::optional<Colour>& background);

}  // namespace ups::apps
