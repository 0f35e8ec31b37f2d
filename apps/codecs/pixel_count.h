// How many pixels an image file says it has, from its first bytes: what progress weighs files by.
#pragma once

#include <cstdint>
#include <string>

namespace ups::apps {

// 0 where the header does not say it in a simple way (TIFF, TGA, AVIF ...) or the file cannot be read.
int64_t pixels_in_header(const std::string& path);

}  // namespace ups::apps
