// One image through the network: options in the library's terms, the call, the plan in words.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "apps/codecs/image_io.h"
#include "apps/options.h"
#include "apps/progress.h"
#include "apps/run_time.h"
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

// What would be done, for --dry-run and --verbose: a few lines. Unless `time` is null also how long it takes,
// reading included, which took reading_seconds.
struct PlanText {
  std::string text;
  double seconds = 0;
};
PlanText plan_text(const Model& model, const Image& lr, Format format, const Options& options,
                   const std::string& in_name, const std::string& out_name, RunTime* time,
                   double reading_seconds);

// What the result says about its making.
Provenance provenance(const Model& model, const Options& options, Format format, const Image& lr,
                      const Image& hr);

// Why a GPU was wanted and not taken, as a sentence; empty otherwise.
std::string device_note(const Model& model);
// Whether the network averages over all pixels it sees: tiles then differ from the whole picture.
bool takes_statistics(const Model& model);
// What plan_text() says of such a network in tiles.
constexpr const char* kTileStatistics =
    "each tile has channel statistics of its own (-t none: the whole picture's)";
// The factor of the network itself.
int network_scale(const Model& model);
// "name (architecture)" of the model.
std::string model_text(const Model& model, const Options& options);

}  // namespace ups::apps
