// Pixels in another depth, size or number of channels.
#pragma once

#include "apps/codecs/image_io.h"

namespace ups::apps {

// Rounded to nearest; f32 is clamped to 0..1 on the way to integers.
Image convert_depth(Image in, ups_depth depth);
// Straight alpha over a colour: v' = v a + background (1 - a). Without alpha the image comes back as it is.
Image flatten(Image in, const Colour& background);

// [pixels, 1 or 2] -> [pixels, 3 or 4], without metadata: for formats that know colour only.
Image colour_of_gray(const Image& in);

// Without metadata.
Image resized(const Image& in, int width, int height, ups_depth depth, ups_filter filter);

}  // namespace ups::apps
