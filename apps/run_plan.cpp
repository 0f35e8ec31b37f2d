// Asks the library for plans and adds what the tool itself needs.
#include "apps/run_plan.h"

#include <algorithm>
#include <cmath>

#include "apps/failure.h"
#include "apps/finish_rows.h"
#include "apps/machine.h"
#include "apps/model_facts.h"

namespace ups::apps {

ups_options library_options(const Model& model, const Options& o, const ups_loop* loop) {
  ups_options l{};
  l.size = sizeof l;
  l.threads = o.threads;
  l.steps = o.steps;
  l.step_mode = o.step_mode;
  l.filter = o.filter;
  l.loop = loop;
  l.tile_px = o.tile_px;
  l.overlap_px = o.overlap_px;
  l.tile_blend = o.tile_blend;
  l.alpha = o.alpha, l.kind = o.kind, l.wrap = o.wrap, l.tta = o.tta, l.blend = o.blend;
  if (o.max_vram_bytes > 0 && !on_cpu(model)) l.max_memory_bytes = o.max_vram_bytes;
  return l;
}

ups_options before_options(const Model& model, const Options& o, const ups_options& last) {
  ups_options l = library_options(model, o, nullptr);
  l.scale = default_scale(model);
  l.steps = 1, l.step_mode = UPS_STEPS_NATIVE;
  l.blend = 0;
  l.alpha = UPS_ALPHA_FILTER;
  l.max_memory_bytes = last.max_memory_bytes;
  return l;
}

Json plan_of(const Model& model, ups_image view, const ups_options& options) {
  const char* json = nullptr;
  check(ups_plan(model.get(), &view, &options, &json));
  return Json::parse(json);
}

std::vector<Json> plans_of(const Model& model, const Image& lr, const Options& o, const ups_options& last) {
  std::vector<Json> plans;
  ups_image view = lr.view();
  for (const auto& m : model.before()) {
    const ups_options l = before_options(*m, o, last);
    plans.push_back(plan_of(*m, view, l));
    view.data = nullptr, view.depth = UPS_F32;
    check(ups_output_size(m->get(), view.width, view.height, &l, &view.width, &view.height));
  }
  plans.push_back(plan_of(model, view, last));
  return plans;
}

namespace {

constexpr int64_t kProgramBytes = 25 << 19;  // its code, libraries, stacks and small things

// What the file takes at the least, of so many bytes of pixels. Deflate seldom gets below an eighth of a
// picture, the lossy formats below a hundredth.
double least_file_bytes(Format format, double pixel_bytes, const EncodeOptions& o) {
  switch (format) {
    case Format::bmp:
    case Format::pnm:
    case Format::pfm:
      return pixel_bytes;
    case Format::png:
      return o.png_level == 0 ? pixel_bytes : pixel_bytes / 8;
    case Format::tiff:
      return pixel_bytes / 8;
    default:
      return pixel_bytes / 100;
  }
}

// Results that nobody means: far too many pixels, or more than the disk can take.
void check_result(const SizePlan& p, const Sizes& s, Format format, const Options& o,
                  const std::string& out_name) {
  const double pixels = std::max(double(p.picture_width) * p.picture_height, double(p.width) * p.height);
  const double bytes = double(p.width) * p.height * s.channels * Image::sample_bytes(s.depth);
  const int bits = o.size.exact() ? 36 : 32;
  if (pixels > std::ldexp(1.0, bits)) {
    fail(kMemory, out_name, ": would have ", p.width, "x", p.height, " pixels (", bytes_text(bytes),
         "), expected at most 2^", bits, " (use a smaller --scale",
         bits == 32 ? ", or give --size if this is meant)" : ")");
  }
  const double least = least_file_bytes(format, bytes, o.encode);
  const int64_t room = free_disk_bytes(out_name);
  if (room >= 0 && least > double(room)) {
    fail(kIo, out_name, ": ", p.width, "x", p.height, " pixels are ", bytes_text(bytes),
         " and take at least ", bytes_text(least), " on the disk, which has ", bytes_text(double(room)),
         " left (use a smaller --scale, another folder or a lossy format)");
  }
}

}  // namespace

Sizes sizes_of(const Model& model, const Image& lr, Format format, const Options& o, ups_options& l,
               const std::string& out_name) {
  Sizes s;
  double own = default_scale(model), before_pixels = 0, w = lr.width, h = lr.height;
  for (const auto& m : model.before()) {
    const double f = default_scale(*m);
    own *= f, w *= f, h *= f;
    before_pixels += w * h;
  }
  SizePlan& p = s.plan;
  p = plan_size(o.size, lr.width, lr.height, own);
  std::optional<double> factor;
  if (!o.size.exact())
    factor = o.size.scale > 0 ? o.size.scale : own;
  else
    factor = single_factor(lr.width, lr.height, p.picture_width, p.picture_height);
  if (factor) {
    l.scale = *factor;
    check(ups_output_size(model.get(), lr.width, lr.height, &l, &p.picture_width, &p.picture_height));
    if (!o.size.exact()) p.width = p.picture_width, p.height = p.picture_height;
  }
  if (!factor || !model.before().empty()) l.scale = 0, l.width = p.picture_width, l.height = p.picture_height;
  if (o.finish.crop) crop_plan(p, *o.finish.crop);
  check_writable(format, p.width, p.height, out_name);
  s.channels = lr.channels - (o.alpha == UPS_ALPHA_DROP && lr.channels % 2 == 0);
  if (o.kind != UPS_KIND_COLOR && s.channels % 2 == 0 && !has_alpha(format)) {
    fail(kUsage, out_name, ": ", format_name(format), " has no room for the last of ", s.channels,
         " channels, which is data (write a .png or .tif)");
  }
  s.depth = stored_depth(format, o.depth ? *o.depth : lr.depth);
  check_result(p, s, format, o, out_name);
  auto bytes = [&](int width, int height, ups_depth d) {
    return int64_t(width) * height * s.channels * Image::sample_bytes(d);
  };
  const int64_t row = bytes(p.width, 1, s.depth);
  s.window = rows_held(format, p.height, size_t(row), o.encode);
  s.image_bytes = int64_t(lr.bytes()) + row * (s.window ? s.window : p.height) + kProgramBytes +
                  int64_t(before_pixels * lr.channels * sizeof(float));
  (can_stream(format) ? s.image_bytes : s.after_bytes) +=
      encoder_bytes(format, p.width, p.height, s.channels, s.depth, o.encode);
  s.finish = finish_of(o.finish, p, o.background);
  if (s.finishes(o)) {
    Image hr;
    hr.channels = s.channels, hr.depth = s.depth;
    s.image_bytes += FinishRows(model.get(), p.picture_width, p.picture_height, s.finish, hr).bytes();
  }
  const int64_t ram = memory_bytes();
  if (ram > 0 && s.image_bytes > ram) {
    fail(kMemory, out_name, ": ", p.width, "x", p.height, " pixels need ", s.image_bytes >> 20,
         " MiB, this machine has ", ram >> 20, " MiB (use a smaller --scale",
         can_stream(format) ? ")" : ", or write a .png or .tif, which is written row by row)");
  }
  return s;
}

int64_t peak_bytes(const std::vector<Json>& plans, const Sizes& sizes) {
  int64_t sum = 0;  // each network keeps its working memory
  for (const Json& plan : plans) sum += plan.value("peak_bytes", int64_t(0));
  return std::max(sum, sizes.after_bytes);
}

namespace {

// Tiles that are chosen fit; a tile that was asked for, or the float pictures between steps, may not.
void check_plan(const Model& model, const Image& lr, const Sizes& sizes, const Options& o,
                const ups_options& l, const std::string& out_name) {
  const double lr_pixels = double(lr.width) * lr.height;
  const double hr_pixels = double(sizes.plan.picture_width) * sizes.plan.picture_height;
  const bool large = (o.tile_px != 0 && lr_pixels > 1 << 19) || hr_pixels > 1 << 26;
  const int64_t ram = memory_bytes();
  if (!large || ram <= 0 || !on_cpu(model)) return;  // planning takes a moment
  const int64_t need = sizes.image_bytes + peak_bytes(plans_of(model, lr, o, l), sizes);
  if (need <= ram) return;
  fail(kMemory, out_name, ": the images and the network need ", need >> 20, " MiB, this machine has ",
       ram >> 20, " MiB (use ",
       o.tile_px != 0 ? "-t auto"
       : o.steps > 1  ? "fewer --steps"
                      : "a smaller --scale",
       ", or --max-ram)");
}

}  // namespace

void fit_memory(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, ups_options& l,
                const std::string& out_name) {
  if (o.max_ram_bytes == 0) return check_plan(model, lr, sizes, o, l, out_name);
  const int64_t networks = int64_t(model.before().size()) + 1;
  int64_t limit = o.max_ram_bytes - sizes.image_bytes, need = 0;
  l.max_memory_bytes = limit / networks;
  for (int attempt = 0; attempt < 6 && l.max_memory_bytes > 0; attempt++) {
    need = peak_bytes(plans_of(model, lr, o, l), sizes);
    if (need <= limit) return;
    l.max_memory_bytes -= (need - limit) / networks + 1;
  }
  auto mib = [](int64_t bytes) {
    return bytes < 1 << 20 ? std::to_string(bytes) + " bytes" : std::to_string(bytes >> 20) + " MiB";
  };
  fail(kMemory, "--max-ram: the images take ", mib(sizes.image_bytes),
       need > 0 ? " and the network at least " + mib(need) + " more" : " without the network",
       ", the limit is ", mib(o.max_ram_bytes), " (raise it, or use a smaller --scale)");
}

}  // namespace ups::apps
