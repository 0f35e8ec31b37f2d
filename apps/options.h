// The command line of the main use: `upscale IN OUT [flags]`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/finish_settings.h"
#include "apps/loop_settings.h"
#include "apps/size.h"
#include "upscale.h"

namespace ups::apps {

enum class ProgressMode { automatic, none, json };

struct Options {
  std::vector<std::string> inputs;   // files and folders
  std::string output;                // file or folder
  std::string model = "fast";        // alias or file
  std::string model_name;            // resolved into `model`
  int stated_scale = 0;              // what -z claims of the network; 0: nothing
  double scale = 0;                  // 0: the model's own
  SizeRequest size;                  // the factor included
  std::optional<Colour> background;  // of padding; else transparent, or black without alpha
  int steps = 1;
  ups_step_mode step_mode = UPS_STEPS_NATIVE;
  LoopSettings loop;
  FinishSettings finish;
  std::string save_steps;  // prefix
  ups_filter filter = UPS_FILTER_LANCZOS3;
  int tile_px = 0;     // as ups_options
  int overlap_px = 0;  // as ups_options
  int64_t max_ram_bytes = 0, max_vram_bytes = 0;
  ups_tile_blend tile_blend = UPS_BLEND_SMOOTH;
  ups_alpha alpha = UPS_ALPHA_AUTO;
  ups_kind kind = UPS_KIND_COLOR;
  int wrap = 0, tta = 1;  // as ups_options
  double blend = 0;
  std::string mix;  // alias or file, or ""
  double mix_share = 0;
  std::optional<double> denoise;  // 0..1
  int threads = 0;
  std::string device = "auto";  // as ups_options
  ups_precision precision = UPS_PRECISION_AUTO;
  std::string format;  // extension without dot, "" = from OUT
  EncodeOptions encode;
  std::optional<ups_depth> depth;  // of the output; the input's if absent
  bool depth_12 = false;           // --depth 12: 16 in memory, 12 in an AVIF
  MetaPolicy meta = MetaPolicy::keep;
  double dpi = 0;                                              // 0: as the source says
  std::vector<std::pair<int SizeRequest::*, double>> printed;  // sides in inches, until dpi is known
  std::string suffix, name;  // of results in a folder; see options/batch.cpp
  std::string report;        // a page with source and result, or ""
  std::string resume;        // path of the manifest, or ""
  int shard = 1, shard_count = 1;
  std::string settings;  // the options given that decide what the result is, as text
  bool recursive = false;
  bool skip_existing = false, dry_run = false, verbose = false, quiet = false;
  ProgressMode progress = ProgressMode::automatic;
};

// From the table in apps/options/. Arguments after the program's name. Empty when --help or --version was
// printed. Throws Failure(kUsage).
std::optional<Options> parse_options(std::vector<std::string> arguments);

// Shared by the parsers of all commands: `_` and `-` are alike in long options ("--save_steps").
std::vector<std::string> normalise_long_options(std::vector<std::string> arguments);
// What CLI11 complains of, in the words of this tool.
std::string parser_sentence(std::string what);
// The sentence for an option nobody knows, with a hint; `help` is the command that lists those there are.
std::string unknown_option(const std::string& argument, const std::vector<std::string>& known,
                           const std::string& help = "upscale --help");

}  // namespace ups::apps
