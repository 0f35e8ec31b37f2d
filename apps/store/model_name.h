// Models as users of related tools name them: by a name in a folder, or as their authors call them.
#pragma once

#include <string>

namespace ups::apps {

// NAME in FOLDER, in any readable format; "" as folder: a known model by its official or ncnn name, else a
// file in ./models. `scale` chooses among files that ncnn tools keep per scale (NAME-x2, NAME-x4). Returns a
// path or an alias. Throws Failure(kModel), or Failure(kUsage) for a noise level.
std::string model_named(const std::string& folder, const std::string& name, int scale);

// An alias for "RealESRGAN_x4plus" or "realesrgan-x4plus"; anything else comes back as it is.
std::string alias_of_official_name(const std::string& name);

}  // namespace ups::apps
