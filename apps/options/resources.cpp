// Tiles, memory, threads and devices.
#include "apps/options/registry.h"

namespace ups::apps {
namespace {

// ncnn tools write LOAD:PROC:SAVE, each possibly a list per device; PROC's first number is ours.
int threads_of(const Value& v) {
  std::string proc = v.text;
  if (auto first = proc.find(':'); first != std::string::npos) {
    auto second = proc.find(':', first + 1);
    if (second == std::string::npos)
      fail(kUsage, "--threads: got '", proc, "', expected N or LOAD:PROC:SAVE");
    proc = proc.substr(first + 1, second - first - 1);
    proc = proc.substr(0, proc.find(','));
  }
  return int(v.with(proc).integer(0, 1024));
}

void set_tile(Options& o, const Value& v) {
  const std::string first = v.text.substr(0, v.text.find(','));  // ncnn tools take a list, one per device
  if (first == "none")
    o.tile_px = -1;
  else if (first == "auto")
    o.tile_px = 0;
  else if (first.empty() || first.find_first_not_of("0123456789") != first.npos)
    fail(kUsage, v.option, ": got '", v.text, "', expected a whole number of pixels, auto or none");
  else
    o.tile_px = int(v.with(first).integer(0, 1 << 20));
}

}  // namespace

void add_resource_options(OptionTable& table) {
  table.add({.names = "-t,--tile",
             .argument = "N",
             .group = Group::resources,
             .level = Level::basic,
             .help = "tile side in input pixels; auto or 0: from the memory budget; none: one piece",
             .set = set_tile,
             .choices = {"auto", "none", "128", "256", "512"}});
  table.add({.names = "--overlap",
             .argument = "N",
             .group = Group::resources,
             .level = Level::advanced,
             .help = "overlap of neighbouring tiles in input pixels",
             .set = [](Options& o, const Value& v) {
               o.overlap_px = int(v.integer(0, 4096));
               if (o.overlap_px == 0) o.overlap_px = -1;  // the library's "none"
             }});
  table.add(
      {.names = "--tile-blend",
       .argument = "HOW",
       .group = Group::resources,
       .level = Level::advanced,
       .help = "how tiles are joined: smooth (default), linear or hard",
       .details =
           "smooth: the outer part of the overlap, which knows least, is thrown away and its middle faded. "
           "linear: as AUTOMATIC1111, a one-sided fade over --overlap (8). hard: as RealESRGANer, cut every "
           "--tile with half of --overlap (20) as context on each side. The last two are for comparison: "
           "they show seams.",
       .set =
           [](Options& o, const Value& v) {
             o.tile_blend = v.choice<ups_tile_blend>(
                 {{"smooth", UPS_BLEND_SMOOTH}, {"linear", UPS_BLEND_LINEAR}, {"hard", UPS_BLEND_HARD}});
           },
       .choices = {"smooth", "linear", "hard"}});
  table.add(
      {.names = "--max-vram",
       .argument = "SIZE",
       .group = Group::resources,
       .level = Level::advanced,
       .help = "memory of the GPU to stay within; has no meaning on the CPU (default 70 % of the GPU's)",
       .set = [](Options& o, const Value& v) { o.max_vram_bytes = v.bytes(); }});
  table.add({.names = "--max-ram",
             .argument = "SIZE",
             .group = Group::resources,
             .level = Level::basic,
             .help = "memory to stay within, e.g. 500M or 2G",
             .set = [](Options& o, const Value& v) { o.max_ram_bytes = v.bytes(); }});
  table.add({.names = "-j,--threads",
             .argument = "N",
             .group = Group::resources,
             .level = Level::basic,
             .help = "CPU threads; the form LOAD:PROC:SAVE is read as PROC",
             .set = [](Options& o, const Value& v) { o.encode.threads = o.threads = threads_of(v); }});
  table.add({.names = "-g,--gpu,--device,--gpu-id",
             .argument = "WHERE",
             .group = Group::resources,
             .level = Level::basic,
             .help = "auto, cpu or -1, an index, or part of a device's name",
             .details = "auto is the first GPU that can be used, and the CPU where there is none.",
             .set =
                 [](Options& o, const Value& v) {
                   if (v.text.find(',') != v.text.npos) {
                     fail(kUsage, "--gpu: got '", v.text,
                          "', expected one (several at once: a process each, with --shard 1/2 and 2/2)");
                   }
                   o.device = v.text;
                 },
             .choices = {"auto", "cpu"}});
  table.add(
      {.names = "--precision",
       .argument = "P",
       .group = Group::resources,
       .level = Level::advanced,
       .help = "auto, fp32, tf32, fp16, fp16-sums or bf16 on a GPU; the CPU: fp32",
       .details = "fp16-sums also sums every 48 products in fp16: meant for GeForce, slightly less exact.",
       .set =
           [](Options& o, const Value& v) {
             o.precision = v.choice<ups_precision>({{"auto", UPS_PRECISION_AUTO},
                                                    {"fp32", UPS_PRECISION_FP32},
                                                    {"fp16", UPS_PRECISION_FP16},
                                                    {"bf16", UPS_PRECISION_BF16},
                                                    {"fp16-sums", UPS_PRECISION_FP16_SUMS},
                                                    {"tf32", UPS_PRECISION_TF32}});
           },
       .choices = {"auto", "fp32", "tf32", "fp16", "fp16-sums", "bf16"}});
  table.add({.names = "--fp32",
             .argument = "",
             .group = Group::resources,
             .level = Level::unlisted,
             .help = "--precision fp32, as inference_realesrgan.py has it",
             .set = [](Options& o, const Value&) { o.precision = UPS_PRECISION_FP32; }});
  table.add({.names = "-l,--list-devices",
             .argument = "",
             .group = Group::resources,
             .level = Level::basic,
             .help = "print what -g can name",
             .set = {}});
}

}  // namespace ups::apps
