// What the codecs that stand on stb_image share.
#pragma once

#include "apps/codecs/image_io.h"

namespace ups::apps {

// Decodes BMP, TGA or GIF whose header promised width x height. Throws Failure(kIo).
Image decode_with_stb(std::string_view bytes, const std::string& name, const char* format);

}  // namespace ups::apps
