// CLI11 does the splitting; ranges and sentences are ours.
#include "apps/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "apps/commands.h"
#include "apps/failure.h"
#include "apps/option_values.h"
#include "apps/size_options.h"

namespace ups::apps {
namespace {

// ncnn tools write LOAD:PROC:SAVE, each possibly a list per device; PROC's first number is ours.
int threads_of(const std::string& text) {
  std::string proc = text;
  if (auto first = text.find(':'); first != std::string::npos) {
    auto second = text.find(':', first + 1);
    if (second == std::string::npos)
      fail(kUsage, "--threads: got '", text, "', expected N or LOAD:PROC:SAVE");
    proc = text.substr(first + 1, second - first - 1);
    proc = proc.substr(0, proc.find(','));
  }
  return int(integer("--threads", proc, 0, 1024));
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// Options of related tools that mean something else, or nothing, here.
const std::map<std::string, const char*> kForeign = {
    {"-n", "name the model with -m"},
    {"--model-name", "name the model with -m"},
    {"-x", "test-time augmentation is not offered"},
    {"--tta", "test-time augmentation is not offered"},
    {"--face-enhance", "face restoration is not offered"},
    {"--outscale", "the total factor is -s or --scale"},
    {"-c", "the quality of JPEG and WebP is --quality N"},
    {"-w", "the width is --width N"},
    {"-r", "sub-folders are read with -R, a size is --size WxH"},
};

}  // namespace

std::vector<std::string> normalise_long_options(std::vector<std::string> arguments) {
  for (std::string& a : arguments) {
    if (a == "--") break;
    if (a.rfind("--", 0) == 0) std::replace(a.begin(), a.begin() + std::min(a.find('='), a.size()), '_', '-');
  }
  return arguments;
}

std::string unknown_option(const std::string& argument, const std::vector<std::string>& known) {
  std::string name = argument.substr(0, argument.find('='));
  if (auto it = kForeign.find(name); it != kForeign.end()) {
    return name + " is not an option here: " + it->second;
  }
  std::string best;
  size_t least = 3;
  for (const std::string& k : known) {
    size_t d = edit_distance(name, k);
    if (d < least && d < k.size() / 2) least = d, best = k;
  }
  return "unknown option " + name + (best.empty() ? " (see upscale --help)" : ", did you mean " + best + "?");
}

int64_t parse_size(const std::string& text) {
  char* end = nullptr;
  double v = std::strtod(text.c_str(), &end);
  std::string unit(end);
  for (char& c : unit) c = char(std::toupper(uint8_t(c)));
  if (unit.size() > 1 && unit.back() == 'B') unit.pop_back();
  if (unit.size() > 1 && unit.back() == 'I') unit.pop_back();
  double factor = unit.empty() || unit == "B" ? 1
                  : unit == "K"               ? 0x1p10
                  : unit == "M"               ? 0x1p20
                  : unit == "G"               ? 0x1p30
                                              : 0;
  if (end == text.c_str() || factor == 0 || !std::isfinite(v) || !(v * factor >= 1) || v * factor > 0x1p50) {
    fail(kUsage, "--max-ram: got '", text, "', expected a size such as 500M or 2G");
  }
  return int64_t(v * factor);
}

std::optional<Options> parse_options(std::vector<std::string> arguments) {
  Options o;
  CLI::App app;
  app.set_help_flag();
  std::vector<std::string> positional, inputs;
  std::string scale, steps, step_mode, filter, tile, overlap, max_ram, threads, precision, quality, level,
      progress, meta, dpi, depth;
  SizeArguments size;
  bool list_devices = false, help = false, version = false, overwrite = false;
  app.add_option("files", positional);
  app.add_option("-i,--input", inputs)->take_all()->allow_extra_args(false);
  auto* output = app.add_option("-o,--output", o.output);
  app.add_option("-m,--model", o.model);
  app.add_option("-s,--scale", scale);
  size.declare(app);
  app.add_option("--steps", steps);
  app.add_option("--step-mode", step_mode);
  app.add_option("--save-steps", o.save_steps);
  app.add_option("--filter", filter);
  app.add_option("-t,--tile", tile);
  app.add_option("--overlap", overlap);
  app.add_option("--max-ram", max_ram);
  app.add_option("-j,--threads", threads);
  app.add_option("-g,--gpu,--device,--gpu-id", o.device);
  app.add_option("--precision", precision);
  app.add_option("-f,--format", o.format);
  app.add_option("--quality", quality);
  app.add_option("--png-level", level);
  app.add_option("--meta", meta);
  app.add_option("--depth", depth);
  app.add_flag("--lossless", o.encode.lossless);
  app.add_option("--dpi", dpi);
  app.add_option("--progress", progress);
  app.add_flag("-R,--recursive", o.recursive);
  app.add_option("--suffix", o.suffix);
  app.add_option("--name", o.name);
  app.add_flag("--overwrite", overwrite);
  app.add_flag("--skip-existing", o.skip_existing);
  app.add_flag("--dry-run", o.dry_run);
  app.add_flag("-v,--verbose", o.verbose);
  app.add_flag("-q,--quiet", o.quiet);
  app.add_flag("--list-devices", list_devices);
  app.add_flag("-h,--help", help);
  app.add_flag("-V,--version", version);
  app.allow_extras();

  arguments = normalise_long_options(std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    std::string what = e.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    fail(kUsage, what, " (see upscale --help)");
  }
  if (list_devices) return devices_command({}), std::nullopt;
  if (help) return fputs(help_text(), stdout), std::nullopt;
  if (version) return printf("upscale %s\n", ups_version()), std::nullopt;
  if (auto extras = app.remaining(); !extras.empty()) {
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
      for (const auto& l : option->get_lnames()) known.push_back(std::string("--").append(l));
    }
    throw Failure(kUsage, unknown_option(extras.front(), known));
  }

  o.inputs = inputs;
  if (output->count() == 0) {
    if (positional.size() + inputs.size() < 2) {
      fail(kUsage, positional.empty() && inputs.empty() ? "no input given" : "no output given",
           ", expected upscale IN OUT (see upscale --help)");
    }
    if (positional.empty()) fail(kUsage, "no output given, expected -o OUT (see upscale --help)");
    o.output = positional.back();
    positional.pop_back();
  }
  o.inputs.insert(o.inputs.end(), positional.begin(), positional.end());
  if (o.inputs.empty()) fail(kUsage, "no input given, expected upscale IN OUT (see upscale --help)");
  if (o.output.empty()) fail(kUsage, "--output: got an empty name");
  for (const auto& i : o.inputs)
    if (i.empty()) fail(kUsage, "got an empty input name");

  if (!scale.empty()) {
    char* end = nullptr;
    std::string text = scale.back() == 'x' || scale.back() == 'X' ? scale.substr(0, scale.size() - 1) : scale;
    o.scale = std::strtod(text.c_str(), &end);
    if (text.empty() || *end || !std::isfinite(o.scale) || o.scale <= 0 || o.scale > 1000) {
      fail(kUsage, "--scale: got '", scale, "', expected a factor above 0 and up to 1000, e.g. 4 or 2.5");
    }
  }
  if (!steps.empty()) o.steps = int(integer("--steps", steps, 1, 64));
  o.step_mode = o.steps > 1 ? UPS_STEPS_GEOMETRIC : UPS_STEPS_NATIVE;
  if (!step_mode.empty()) {
    o.step_mode = choice<ups_step_mode>(
        "--step-mode", step_mode,
        {{"simple", UPS_STEPS_SIMPLE}, {"geometric", UPS_STEPS_GEOMETRIC}, {"native", UPS_STEPS_NATIVE}});
  }
  if (!filter.empty()) {
    o.filter = choice<ups_filter>("--filter", filter,
                                  {{"lanczos3", UPS_FILTER_LANCZOS3},
                                   {"bicubic", UPS_FILTER_BICUBIC},
                                   {"mitchell", UPS_FILTER_MITCHELL},
                                   {"bilinear", UPS_FILTER_BILINEAR},
                                   {"box", UPS_FILTER_BOX},
                                   {"nearest", UPS_FILTER_NEAREST}});
  }
  if (tile == "none") {
    o.tile_px = -1;
  } else if (!tile.empty() && tile != "auto") {
    o.tile_px = int(integer("--tile", tile, 0, 1 << 20));
  }
  if (!overlap.empty()) {
    o.overlap_px = int(integer("--overlap", overlap, 0, 4096));
    if (o.overlap_px == 0) o.overlap_px = -1;  // the library's "none"
  }
  if (!max_ram.empty()) o.max_ram_bytes = parse_size(max_ram);
  if (!threads.empty()) o.threads = threads_of(threads);
  if (!precision.empty()) {
    o.precision = choice<ups_precision>("--precision", precision,
                                        {{"auto", UPS_PRECISION_AUTO},
                                         {"fp32", UPS_PRECISION_FP32},
                                         {"fp16", UPS_PRECISION_FP16},
                                         {"bf16", UPS_PRECISION_BF16}});
  }
  if (!quality.empty()) o.encode.quality = int(integer("--quality", quality, 1, 100));
  if (!level.empty()) o.encode.png_level = int(integer("--png-level", level, 0, 12));
  if (!meta.empty()) {
    o.meta = choice<MetaPolicy>(
        "--meta", meta,
        {{"keep", MetaPolicy::keep}, {"strip", MetaPolicy::strip}, {"icc-only", MetaPolicy::icc_only}});
  }
  if (!depth.empty()) {
    o.depth = choice<ups_depth>("--depth", depth, {{"8", UPS_U8}, {"16", UPS_U16}, {"32f", UPS_F32}});
  }
  if (!dpi.empty()) o.dpi = number("--dpi", dpi, 1, 65535);
  o.encode.threads = o.threads;
  if (!progress.empty()) {
    o.progress = choice<ProgressMode>(
        "--progress", progress,
        {{"auto", ProgressMode::automatic}, {"none", ProgressMode::none}, {"json", ProgressMode::json}});
  }
  if (!o.format.empty()) {
    if (o.format[0] == '.') o.format.erase(0, 1);
    if (!can_write(format_of_extension(o.format))) {
      fail(kUsage, "--format: got '", o.format, "', expected one of ", writable_extensions());
    }
  }
  size.apply(o);
  if (o.suffix.find('/') != o.suffix.npos) fail(kUsage, "--suffix: got '", o.suffix, "', expected no /");
  if (overwrite && o.skip_existing) fail(kUsage, "--overwrite and --skip-existing contradict each other");
  if (o.verbose && o.quiet) fail(kUsage, "--verbose and --quiet contradict each other");
  if (!o.save_steps.empty() && o.steps < 2) {
    fail(kUsage, "--save-steps: there is no step before the last (use --steps 2 or more)");
  }
  return o;
}

}  // namespace ups::apps
