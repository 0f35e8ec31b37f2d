// What one run will be: sizes, the library's options and plans, memory and disk space. Nothing is computed
// here.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/options.h"
#include "apps/size.h"
#include "apps/store/store.h"

namespace ups::apps {

using Json = nlohmann::ordered_json;

// loop must outlive the result; NULL: no loop.
ups_options library_options(const Model& model, const Options& o, const ups_loop* loop);
// For a network that others follow: one pass at its own scale; alpha is left to the last.
ups_options before_options(const Model& model, const Options& o, const ups_options& last);

struct Sizes {
  SizePlan plan;
  int channels = 0;
  ups_depth depth = UPS_U8;
  ups_finish finish{};
  int window = 0;           // rows of the result in memory; 0: all
  int64_t image_bytes = 0;  // all images at once, the finishing line, encoding beside computing
  int64_t after_bytes = 0;  // of an encoder that runs when the network is done
  bool finishes(const Options& o) const { return o.finish.any() || !plan.same(); }
};

// Decides all sizes and sets l.scale, or l.width and l.height. Throws Failure when the format, the machine's
// memory or the disk cannot hold the result.
Sizes sizes_of(const Model& model, const Image& lr, Format format, const Options& o, ups_options& l,
               const std::string& out_name);

// Plans of all networks of a chain, in order.
std::vector<Json> plans_of(const Model& model, const Image& lr, const Options& o, const ups_options& last);
int64_t peak_bytes(const std::vector<Json>& plans, const Sizes& sizes);

// Lowers the tile budget until images, weights and tiles together stay within --max-ram; refuses what this
// machine cannot hold.
void fit_memory(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, ups_options& l,
                const std::string& out_name);

}  // namespace ups::apps
