// One image through the network.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "apps/codecs/image_io.h"
#include "apps/options.h"
#include "apps/progress.h"
#include "apps/store/store.h"

namespace ups::apps {

// lr -> hr. Checks the size against `format`, the memory limits and --max-ram. Throws Failure.
//
// When the network's rows are already what the file will hold, and the format can be encoded row by row, the
// image is handed to `early` before computing starts, with Image::pending set, and nothing is returned; an
// error after that reaches whoever waits for its rows.
//
// plan, unless null, is told where the picture lies in the result before `early` is called.
std::optional<Image> upscale_image(const Model& model, const Image& lr, Format format, const Options& options,
                                   const std::string& out_name, Progress& progress,
                                   const std::function<void(Image hr)>& early, SizePlan* plan);

}  // namespace ups::apps
