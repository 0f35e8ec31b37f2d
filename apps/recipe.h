// A recipe: options of `upscale IN OUT` kept in a JSON file.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

// Replaces --recipe FILE by the options in the file, put first, but for those that are given beside it: the
// command line wins. Without --recipe, the arguments as they are. Throws Failure(kUsage) for what is no
// option of a picture, with one sentence that names it and the ones there are; Failure(kIo) if the file
// cannot be read.
std::vector<std::string> with_recipe(const std::vector<std::string>& arguments);

}  // namespace ups::apps
