// Calls the library for one image.
#include "apps/run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>

#include "apps/cancel.h"
#include "apps/failure.h"
#include "apps/finish_rows.h"
#include "apps/model_facts.h"
#include "apps/pixel_format.h"

namespace ups::apps {
namespace {

using Json = nlohmann::ordered_json;

// What the callbacks see. Exceptions must not fly through the C API: they are kept and rethrown after it.
struct Call {
  const Options& options;
  Progress& progress;
  ups_depth step_depth = UPS_U8;
  double from = 0, share = 1;  // of the network that runs in the progress of all
  std::exception_ptr error{};
  // Of an image that is filled row by row:
  uint8_t* pixels = nullptr;
  size_t row_bytes = 0;
  int window = 0;  // rows that `pixels` has
  RowsReady* ready = nullptr;
  FinishRows* line = nullptr;  // rows of the network go through it
};

int on_progress(void* user, double done) {
  const Call* call = static_cast<Call*>(user);
  call->progress.update(call->from + call->share * done);
  return cancelled();
}

// A copy with packed rows.
Image packed(const ups_image& in) {
  Image out = allocate_image(in.width, in.height, in.channels, in.depth);
  for (int y = 0; y < in.height; y++)
    memcpy(out.row(y), static_cast<const char*>(in.data) + in.stride_bytes * y, out.row_bytes());
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

bool on_cpu(const Model& model) {
  return Json::parse(ups_model_info(model.get())).value("device", "").rfind("CPU", 0) == 0;
}

// loop must outlive the result; NULL: no loop.
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

// For a network that others follow: one pass at its own scale; alpha is left to the last.
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

// Plans of all networks of a chain, in order.
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

constexpr int64_t kProgramBytes = 12 << 20;  // its code, libraries, stacks and small things

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

// Decides all sizes and sets l.scale, or l.width and l.height.
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
  double pixels = std::max(double(p.picture_width) * p.picture_height, double(p.width) * p.height);
  if (pixels > double(int64_t(1) << 36)) {
    fail(kMemory, out_name, ": would have ", p.width, "x", p.height, " pixels (use a smaller --scale)");
  }
  check_writable(format, p.width, p.height, out_name);
  s.channels = lr.channels - (o.alpha == UPS_ALPHA_DROP && lr.channels % 2 == 0);
  if (o.kind != UPS_KIND_COLOR && s.channels % 2 == 0 && !has_alpha(format)) {
    fail(kUsage, out_name, ": ", format_name(format), " has no room for the last of ", s.channels,
         " channels, which is data (write a .png or .tif)");
  }
  s.depth = stored_depth(format, o.depth ? *o.depth : lr.depth);
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
  int64_t ram = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  if (ram > 0 && s.image_bytes > ram) {
    fail(kMemory, out_name, ": ", p.width, "x", p.height, " pixels need ", s.image_bytes >> 20,
         " MiB, this machine has ", ram >> 20, " MiB (use a smaller --scale)");
  }
  return s;
}

int64_t peak_bytes(const std::vector<Json>& plans, const Sizes& sizes) {
  int64_t sum = 0;  // each network keeps its working memory
  for (const Json& plan : plans) sum += plan.value("peak_bytes", int64_t(0));
  return std::max(sum, sizes.after_bytes);
}

// Lowers the tile budget until images, weights and tiles together stay within --max-ram.
void fit_memory(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, ups_options& l) {
  if (o.max_ram_bytes == 0) return;
  const int64_t networks = int64_t(model.before().size()) + 1;
  int64_t limit = o.max_ram_bytes - sizes.image_bytes, need = 0;
  l.max_memory_bytes = limit / networks;
  for (int attempt = 0; attempt < 6 && l.max_memory_bytes > 0; attempt++) {
    need = peak_bytes(plans_of(model, lr, o, l), sizes);
    if (need <= limit) return;
    l.max_memory_bytes -= (need - limit) / networks + 1;
  }
  fail(kMemory, "--max-ram: the images take ", sizes.image_bytes >> 20, " MiB and the network at least ",
       need >> 20, " MiB more, the limit is ", o.max_ram_bytes >> 20,
       " MiB (raise it, or use a smaller --scale)");
}

// Finished rows.
int on_rows(void* user, int y, int rows, const void* data) {
  Call* call = static_cast<Call*>(user);
  const auto* from = static_cast<const uint8_t*>(data);
  for (const int end = y + rows; y < end;) {
    const int n = std::min({end - y, call->window - y % call->window, 16});
    if (call->ready && !call->ready->claim(y + n - call->window)) return 1;
    memcpy(call->pixels + call->row_bytes * size_t(y % call->window), from, call->row_bytes * size_t(n));
    from += call->row_bytes * size_t(n);
    y += n;
    if (call->ready) call->ready->advance(y);
  }
  return cancelled();
}

// Rows of the network that are to be finished.
int on_network_rows(void* user, int, int rows, const void* data) {
  Call* call = static_cast<Call*>(user);
  if (!call->line->push(rows, data)) return 0;
  call->error = call->line->error();
  return 1;
}

// After ups_upscale: what went wrong, if anything did.
void finish(ups_status status, const Call& call) {
  if (call.error) std::rethrow_exception(call.error);
  throw_if_cancelled();
  check(status);
}

double cost_of(const Model& model, double width, double height) {
  return Json::parse(ups_model_info(model.get())).value("flop_per_pixel", 1.0) * width * height;
}

// What the networks before the last make of lr, in float.
Image run_before(const Model& model, const Image& lr, const Options& o, const ups_options& last, Call& call) {
  std::vector<double> costs;
  double w = lr.width, h = lr.height, all = 0;
  for (const auto& m : model.before()) {
    all += costs.emplace_back(cost_of(*m, w, h));
    w *= default_scale(*m), h *= default_scale(*m);
  }
  all += cost_of(model, w, h);
  Image image;
  for (size_t i = 0; i < costs.size(); i++) {
    const Model& m = *model.before()[i];
    const ups_image in = i ? image.view() : lr.view();
    ups_options l = before_options(m, o, last);
    l.user = &call, l.progress = on_progress;
    call.share = costs[i] / all;
    int width = 0, height = 0;
    check(ups_output_size(m.get(), in.width, in.height, &l, &width, &height));
    Image next = allocate_image(width, height, lr.channels, UPS_F32);
    ups_image out = next.view();
    finish(ups_upscale(m.get(), &in, &out, &l), call);
    call.from += call.share;
    image = std::move(next);
  }
  call.share = 1 - call.from;
  return image;
}

// Computes the rows of hr, which lie at `pixels`.
void compute(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, const Image& hr,
             ups_options& l, Call& call, uint8_t* pixels) {
  const SizePlan& p = sizes.plan;
  ups_image in = lr.view(), out = hr.view();
  std::optional<FinishRows> line;
  call.pixels = pixels, call.row_bytes = hr.row_bytes();
  call.window = hr.window ? hr.window : hr.height;
  l.rows = on_rows;
  if (sizes.finishes(o)) {
    line.emplace(model.get(), p.picture_width, p.picture_height, sizes.finish, hr);
    line->send_to(on_rows, &call);
    call.line = &*line;
    l.rows = on_network_rows;
    out = {nullptr, p.picture_width, p.picture_height, hr.channels, UPS_F32, 0};
  }
  finish(ups_upscale(model.get(), &in, &out, &l), call);
}

// The same while whoever got hr from `early` encodes it.
void stream(const Model& model, const Image& lr, const Sizes& sizes, const Options& o, Image hr,
            ups_options& l, Call& call, const std::function<void(Image)>& early) {
  const auto ready = std::make_shared<RowsReady>();
  call.ready = ready.get();
  hr.pending.state = ready;
  Image described;  // what is known of hr when it is gone; it lives until `ready` has ended
  described.width = hr.width, described.height = hr.height;
  described.channels = hr.channels, described.depth = hr.depth, described.window = hr.window;
  uint8_t* pixels = hr.pixels.get();
  early(std::move(hr));
  const auto start = std::chrono::steady_clock::now();
  std::exception_ptr error;
  try {
    compute(model, lr, sizes, o, described, l, call, pixels);
  } catch (...) {
    error = std::current_exception();
  }
  ready->end(error, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

std::string size_text(const Json& size) {
  return std::to_string(size.at(0).get<int>()) + "x" + std::to_string(size.at(1).get<int>());
}

}  // namespace

std::optional<Image> upscale_image(const Model& model, const Image& source, Format format, const Options& o,
                                   const std::string& out_name, Progress& progress,
                                   const std::function<void(Image hr)>& early, SizePlan* plan) {
  throw_if_cancelled();
  const ups_loop loop = o.loop.library();
  ups_options l = library_options(model, o, &loop);
  Sizes sizes = sizes_of(model, source, format, o, l, out_name);
  fit_memory(model, source, sizes, o, l);
  Image hr = allocate_image(sizes.plan.width, sizes.plan.height, sizes.channels, sizes.depth, sizes.window);
  Call call{o, progress, source.depth};
  Image changed;  // by what comes before the last network
  if (o.alpha == UPS_ALPHA_DROP && o.background && source.channels % 2 == 0)
    changed = flatten(packed(source.view()), *o.background);
  if (!model.before().empty()) changed = run_before(model, changed.width ? changed : source, o, l, call);
  const Image& lr = changed.width ? changed : source;
  l.user = &call, l.progress = on_progress;
  if (plan) *plan = sizes.plan;
  if (!o.save_steps.empty()) l.step_done = on_step;
  if (can_stream(format)) {
    stream(model, lr, sizes, o, std::move(hr), l, call, early);
    return std::nullopt;
  }
  compute(model, lr, sizes, o, hr, l, call, hr.pixels.get());
  return hr;
}

std::string plan_text(const Model& model, const Image& lr, Format format, const Options& o,
                      const std::string& in_name, const std::string& out_name) {
  const ups_loop loop = o.loop.library();
  ups_options l = library_options(model, o, &loop);
  Sizes sizes = sizes_of(model, lr, format, o, l, out_name);
  fit_memory(model, lr, sizes, o, l);
  const std::vector<Json> plans = plans_of(model, lr, o, l);
  std::string text = in_name + " " + size_text(plans[0].at("input")) + " -> " + out_name + " " +
                     std::to_string(sizes.plan.width) + "x" + std::to_string(sizes.plan.height) + ", " +
                     std::to_string(sizes.channels) + " channel" + (sizes.channels > 1 ? "s" : "") + " of " +
                     std::to_string(8 * Image::sample_bytes(sizes.depth)) + " bits\n";
  double seconds = 0;
  bool tiled = false;
  for (size_t i = 0; i < plans.size(); i++) {
    seconds += plans[i].value("estimated_seconds", 0.0);
    if (plans.size() > 1)
      text += "  " + std::string(i + 1 < plans.size() ? "first " : "then ") +
              name_of(i + 1 < plans.size() ? *model.before()[i] : model) + "\n";
    int k = 0;
    for (const Json& step : plans[i].at("steps")) {
      text += "  step " + std::to_string(++k) + " to " +
              (plans[i].value("sizes_at_most", false) ? "at most " : "") + size_text(step.at("target")) +
              (step.contains("crop") ? ", cut to " + size_text(step["crop"]) : "") + ":";
      for (const Json& pass : step.value("passes", Json::array())) {
        tiled = tiled || pass.at("tiles") != 1;
        text += " pass over " + size_text(pass.at("network")) + " in " + pass.at("tiles").dump() + " tile" +
                (pass.at("tiles") != 1 ? "s" : "") + " of " + size_text(pass.at("tile")) + ";";
      }
      if (step.at("passes").empty()) text += " no network pass;";
      text.back() = '\n';
    }
  }
  if (takes_statistics(model) && tiled) text += std::string("  ") + kTileStatistics + "\n";
  if (!sizes.plan.same()) {
    text += std::string("  ") +
            (sizes.plan.x < 0 || sizes.plan.y < 0 || o.finish.crop ? "cropped" : "padded") + " to " +
            std::to_string(sizes.plan.width) + "x" + std::to_string(sizes.plan.height) + "\n";
  }
  if (o.finish.any()) text += "  finished row by row: " + finish_text(o.finish) + "\n";
  int64_t peak = peak_bytes(plans, sizes) + sizes.image_bytes;
  text += "  peak memory about " + std::to_string((peak >> 20) + 1) + " MiB, estimated " +
          seconds_text(seconds) + " on " + plans.back().value("device", "the CPU") + "\n";
  if (o.verbose) {
    const Json kernels = plans.back().value("kernels", Json::object());
    for (const auto& [kernel, calls] : kernels.items()) text += "  " + calls.dump() + " x " + kernel + "\n";
  }
  return text;
}

}  // namespace ups::apps
