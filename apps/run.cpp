// Calls the library for one image.
#include "apps/run.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

#include "apps/cancel.h"
#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"
#include "apps/finish_rows.h"
#include "apps/model_facts.h"
#include "apps/run_plan.h"

namespace ups::apps {
namespace {

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

int on_step(void* user, int step, int, const ups_image* image) {
  Call* call = static_cast<Call*>(user);
  if (cancelled()) return 1;
  try {
    OutputFile file(call->options.save_steps + std::to_string(step) + ".png");
    Image picture = convert_depth(copy_of(*image), stored_depth(Format::png, call->step_depth));
    write_image(file, Format::png, std::move(picture), call->options.encode);
    return 0;
  } catch (...) {
    call->error = std::current_exception();
    return 1;
  }
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

// What the networks before the last make of lr, in float.
Image run_before(const Model& model, const Image& lr, const Options& o, const ups_options& last, Call& call) {
  std::vector<double> costs;
  double w = lr.width, h = lr.height, all = 0;
  for (const auto& m : model.before()) {
    all += costs.emplace_back(flop_per_pixel(*m) * w * h);
    w *= default_scale(*m), h *= default_scale(*m);
  }
  all += flop_per_pixel(model) * w * h;
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

}  // namespace

std::optional<Image> upscale_image(const Model& model, const Image& source, Format format, const Options& o,
                                   const std::string& out_name, Progress& progress,
                                   const std::function<void(Image hr)>& early, SizePlan* plan) {
  throw_if_cancelled();
  const ups_loop loop = o.loop.library();
  ups_options l = library_options(model, o, &loop);
  Sizes sizes = sizes_of(model, source, format, o, l, out_name);
  fit_memory(model, source, sizes, o, l, out_name);
  Image hr = allocate_image(sizes.plan.width, sizes.plan.height, sizes.channels, sizes.depth, sizes.window);
  Call call{o, progress, source.depth};
  Image changed;  // by what comes before the last network
  if (o.alpha == UPS_ALPHA_DROP && o.background && source.channels % 2 == 0)
    changed = flatten(copy_of(source.view()), *o.background);
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

}  // namespace ups::apps
