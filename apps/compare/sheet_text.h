// Small letters on a picture.
#pragma once

#include <string>

#include "apps/codecs/image_io.h"

namespace ups::apps {

inline constexpr int kTextHeight = 24;  // of a line, in pixels

// `text` with its upper left corner at x, y, light on what is there; an 8-bit RGB picture. What does not fit
// into `width` pixels is left out in the middle; other letters than ASCII are '?'.
void draw_text(Image& rgb, int x, int y, int width, const std::string& text);

}  // namespace ups::apps
