// What a run would do, in words: for --dry-run and --verbose.
#pragma once

#include <string>

#include "apps/run_time.h"

namespace ups::apps {

struct PlanText {
  std::string text;    // a few lines
  double seconds = 0;  // estimated; 0 without `time`
};
// reading_seconds: how long reading the picture took, which counts. time: null for no estimate.
PlanText plan_text(const Model& model, const Image& lr, Format format, const Options& options,
                   const std::string& in_name, const std::string& out_name, RunTime* time,
                   double reading_seconds);

// What it says of a network that takes_statistics() and runs in tiles.
constexpr const char* kTileStatistics =
    "each tile has channel statistics of its own (-t none: the whole picture's)";

}  // namespace ups::apps
