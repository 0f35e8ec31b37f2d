// Conversions to what a format can hold.
#pragma once

#include "apps/codecs/image_io.h"

namespace ups::apps {

// Rounded to nearest; f32 is clamped to 0..1 on the way to integers.
Image convert_depth(Image in, ups_depth depth);
// Straight alpha over a colour: v' = v a + background (1 - a). Without alpha the image comes back as it is.
Image flatten(Image in, const Colour& background);

}  // namespace ups::apps
