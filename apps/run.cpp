// Calls the library for one image.
#include "apps/run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/cancel.h"
#include "apps/canvas.h"
#include "apps/failure.h"
#include "apps/pixel_format.h"

namespace ups::apps {
namespace {

using Json = nlohmann::ordered_json;

// What the callbacks see. Exceptions must not fly through the C API: they are kept and rethrown after it.
struct Call {
  const Options& options;
  Progress& progress;
  ups_depth step_depth = UPS_U8;
  std::exception_ptr error{};
  // Of a streamed image:
  uint8_t* pixels = nullptr;
  size_t row_bytes = 0;
  RowsReady* ready = nullptr;
};

int on_progress(void* user, double done) {
  static_cast<Call*>(user)->progress.update(done);
  return cancelled();
}

// A copy with packed rows.
Image packed(const ups_image& in) {
  Image out = allocate_image(in.width, in.height, in.channels, in.depth);
  for (int y = 0; y < in.height; y++) {
    memcpy(out.row(y), static_cast<const char*>(in.data) + in.stride_bytes * y, out.row_bytes());
  }
  return out;
}

int on_step(void* user, int step, int, const ups_image* image) {
  Call* call = static_cast<Call*>(user);
  if (cancelled()) return 1;
  try {
    OutputFile file(call->options.save_steps + std::to_string(step) + ".png");
    Image picture = convert_depth(packed(*image), stored_depth(Format::png, call->step_depth));
    write_image(file, Format::png, std::move(picture), call->options.encode);
    return 0;
  } catch (...) {
    call->error = std::current_exception();
    return 1;
  }
}

double default_scale(const Model& model) {
  if (model.default_scale() > 0) return model.default_scale();
  return Json::parse(ups_model_info(model.get())).value("default_scale", 1.0);
}

ups_options library_options(const Options& o) {
  ups_options l{};
  l.size = sizeof l;
  l.threads = o.threads;
  l.steps = o.steps;
  l.step_mode = o.step_mode;
  l.filter = o.filter;
  l.tile_px = o.tile_px;
  l.overlap_px = o.overlap_px;
  return l;
}

Json plan_of(const Model& model, const Image& lr, const ups_options& options) {
  const char* json = nullptr;
  ups_image view = lr.view();
  check(ups_plan(model.get(), &view, &options, &json));
  return Json::parse(json);
}

struct Sizes {
  SizePlan plan;
  int network_width = 0, network_height = 0;  // what ups_upscale delivers
  bool resample = false;                      // because no one factor gives both sides of the picture
  ups_depth depth = UPS_U8;
  int64_t image_bytes = 0;  // all images at once
};

// Decides all sizes and sets l.scale.
Sizes sizes_of(const Model& model, const Image& lr, Format format, const Options& o, ups_options& l,
               const std::string& out_name) {
  Sizes s;
  const double own = default_scale(model);
  SizePlan& p = s.plan;
  p = plan_size(o.size, lr.width, lr.height, own);
  if (o.size.exact()) {
    std::optional<double> f = single_factor(lr.width, lr.height, p.picture_width, p.picture_height);
    l.scale = f ? *f : covering_factor(lr.width, lr.height, p.picture_width, p.picture_height);
  } else {
    l.scale = o.size.scale > 0 ? o.size.scale : own;
  }
  check(ups_output_size(model.get(), lr.width, lr.height, &l, &s.network_width, &s.network_height));
  if (!o.size.exact()) {
    p.width = p.picture_width = s.network_width, p.height = p.picture_height = s.network_height;
  }
  s.resample = s.network_width != p.picture_width || s.network_height != p.picture_height;
  double pixels = std::max(double(s.network_width) * s.network_height, double(p.width) * p.height);
  if (pixels > double(int64_t(1) << 36)) {
    fail(kMemory, out_name, ": would have ", p.width, "x", p.height, " pixels (use a smaller --scale)");
  }
  check_writable(format, p.width, p.height, out_name);
  s.depth = stored_depth(format, o.depth ? *o.depth : lr.depth);
  auto bytes = [&](int w, int h, ups_depth d) {
    return int64_t(w) * h * lr.channels * Image::sample_bytes(d);
  };
  s.image_bytes = int64_t(lr.bytes()) + bytes(p.picture_width, p.picture_height, s.depth);
  if (s.resample) s.image_bytes += bytes(s.network_width, s.network_height, UPS_F32);
  if (!p.same()) s.image_bytes += bytes(p.width, p.height, s.depth);
  int64_t ram = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  if (ram > 0 && s.image_bytes > ram) {
    fail(kMemory, out_name, ": ", p.width, "x", p.height, " pixels need ", s.image_bytes >> 20,
         " MiB, this machine has ", ram >> 20, " MiB (use a smaller --scale)");
  }
  return s;
}

// Lowers the tile budget until images, weights and tiles together stay within --max-ram.
void fit_memory(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, ups_options& l) {
  if (o.max_ram_bytes == 0) return;
  int64_t limit = o.max_ram_bytes - sizes.image_bytes, need = 0;
  l.max_memory_bytes = limit;
  for (int attempt = 0; attempt < 6 && l.max_memory_bytes > 0; attempt++) {
    need = plan_of(model, lr, l).value("peak_bytes", int64_t(0));
    if (need <= limit) return;
    l.max_memory_bytes -= need - limit;
  }
  fail(kMemory, "--max-ram: the images take ", sizes.image_bytes >> 20, " MiB and the network at least ",
       need >> 20, " MiB more, the limit is ", o.max_ram_bytes >> 20,
       " MiB (raise it, or use a smaller --scale)");
}

int on_rows(void* user, int y, int rows, const void* data) {
  Call* call = static_cast<Call*>(user);
  memcpy(call->pixels + call->row_bytes * size_t(y), data, call->row_bytes * size_t(rows));
  call->ready->advance(y + rows);
  return cancelled();
}

// After ups_upscale: what went wrong, if anything did.
void finish(ups_status status, const Call& call) {
  if (call.error) std::rethrow_exception(call.error);
  throw_if_cancelled();
  check(status);
}

// Computes hr row by row while whoever got it from `early` encodes it.
void stream(const Model& model, const Image& lr, Image hr, ups_options& l, Call& call,
            const std::function<void(Image)>& early) {
  const auto ready = std::make_shared<RowsReady>();
  ups_image in = lr.view(), out = hr.view();
  call.pixels = hr.pixels.get(), call.row_bytes = hr.row_bytes(), call.ready = ready.get();
  l.rows = on_rows;
  hr.pending.state = ready;
  early(std::move(hr));
  const auto start = std::chrono::steady_clock::now();
  std::exception_ptr error;
  try {
    finish(ups_upscale(model.get(), &in, &out, &l), call);
  } catch (...) {
    error = std::current_exception();
  }
  ready->end(error, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

std::string size_text(const Json& size) {
  return std::to_string(size.at(0).get<int>()) + "x" + std::to_string(size.at(1).get<int>());
}

}  // namespace

std::optional<Image> upscale_image(const Model& model, const Image& lr, Format format, const Options& o,
                                   const std::string& out_name, Progress& progress,
                                   const std::function<void(Image hr)>& early) {
  throw_if_cancelled();
  ups_options l = library_options(o);
  Sizes sizes = sizes_of(model, lr, format, o, l, out_name);
  fit_memory(model, lr, sizes, o, l);
  Image hr = allocate_image(sizes.network_width, sizes.network_height, lr.channels,
                            sizes.resample ? UPS_F32 : sizes.depth);
  Call call{o, progress, lr.depth};
  l.user = &call;
  l.progress = on_progress;
  if (!o.save_steps.empty()) l.step_done = on_step;
  const SizePlan& plan = sizes.plan;
  if (format == Format::png && !sizes.resample && plan.same()) {
    stream(model, lr, std::move(hr), l, call, early);
    return std::nullopt;
  }
  ups_image in = lr.view(), out = hr.view();
  finish(ups_upscale(model.get(), &in, &out, &l), call);
  if (sizes.resample) {
    Image exact = allocate_image(plan.picture_width, plan.picture_height, lr.channels, sizes.depth);
    ups_image from = hr.view(), to = exact.view();
    check(ups_resize(&from, &to, o.filter));
    hr = std::move(exact);
  }
  return plan.same() ? std::move(hr) : place_on_canvas(hr, plan, o.background);
}

std::string plan_text(const Model& model, const Image& lr, Format format, const Options& o,
                      const std::string& in_name, const std::string& out_name) {
  ups_options l = library_options(o);
  Sizes sizes = sizes_of(model, lr, format, o, l, out_name);
  fit_memory(model, lr, sizes, o, l);
  Json plan = plan_of(model, lr, l);
  std::string text = in_name + " " + size_text(plan.at("input")) + " -> " + out_name + " " +
                     std::to_string(sizes.plan.width) + "x" + std::to_string(sizes.plan.height) + ", " +
                     std::to_string(lr.channels) + " channel" + (lr.channels > 1 ? "s" : "") + " of " +
                     (sizes.depth == UPS_U8    ? "8"
                      : sizes.depth == UPS_U16 ? "16"
                                               : "32") +
                     " bits\n";
  int k = 0;
  for (const Json& step : plan.at("steps")) {
    text += "  step " + std::to_string(++k) + " to " + size_text(step.at("target")) + ":";
    for (const Json& pass : step.value("passes", Json::array())) {
      text += " pass over " + size_text(pass.at("network")) + " in " + pass.at("tiles").dump() + " tile" +
              (pass.at("tiles") != 1 ? "s" : "") + " of " + size_text(pass.at("tile")) + ";";
    }
    text.back() = '\n';
  }
  if (sizes.resample) {
    text += "  resampled to " + std::to_string(sizes.plan.picture_width) + "x" +
            std::to_string(sizes.plan.picture_height) + "\n";
  }
  if (!sizes.plan.same()) {
    text += std::string("  ") + (sizes.plan.x < 0 || sizes.plan.y < 0 ? "cropped" : "padded") + " to " +
            std::to_string(sizes.plan.width) + "x" + std::to_string(sizes.plan.height) + "\n";
  }
  int64_t peak = plan.value("peak_bytes", int64_t(0)) + sizes.image_bytes;
  text += "  peak memory about " + std::to_string((peak >> 20) + 1) + " MiB, estimated " +
          seconds_text(plan.value("estimated_seconds", 0.0)) + " on " + plan.value("device", "the CPU") +
          "\n";
  if (o.verbose) {
    const Json kernels = plan.value("kernels", Json::object());
    for (const auto& [kernel, calls] : kernels.items()) text += "  " + calls.dump() + " x " + kernel + "\n";
  }
  return text;
}

std::string device_note(const Model& model) {
  Json info = Json::parse(ups_model_info(model.get()));
  std::string why = info.value("device_note", "");
  return why.empty() ? "" : why + "; computing on the CPU";
}

namespace {

std::string name_of(const Json& info, const Options& o) {
  std::string name = info.value("name", "");
  return name.empty() ? std::filesystem::path(o.model).stem().string() : name;
}

}  // namespace

Provenance provenance(const Model& model, const Options& o, Format format, const Image& lr, const Image& hr) {
  Json info = Json::parse(ups_model_info(model.get()));
  double scale = o.scale > 0 ? o.scale : double(hr.width) / lr.width;
  return {name_of(info, o), info.value("source_sha256", ""), scale,
          format == Format::jpeg || format == Format::webp};
}

int network_scale(const Model& model) { return Json::parse(ups_model_info(model.get())).value("scale", 0); }

std::string model_text(const Model& model, const Options& o) {
  Json info = Json::parse(ups_model_info(model.get()));
  std::string name = name_of(info, o);
  std::string variant = info.value("variant", "");
  return name + " (" + info.value("architecture", "") + (variant.empty() ? "" : " " + variant) + ", " +
         std::to_string(info.value("scale", 0)) + "x)";
}

}  // namespace ups::apps
