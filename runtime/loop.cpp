// The loop driver.
#include "runtime/loop.h"

#include <algorithm>
#include <new>

#include "kernels/error.h"
#include "runtime/device_loop.h"

namespace ups {

namespace {

int64_t float_bytes(Extent e, int c) { return e.pixels() * c * int64_t(sizeof(float)); }

Extent times(Extent e, int scale) { return {e.h * scale, e.w * scale}; }

// Rows of one image, collected into floats.
struct Collector {
  std::vector<float> pixels;
  Extent extent;
  int c;
  Collector(Extent e, int c) : pixels(size_t(e.pixels()) * c), extent(e), c(c) {}
  void put(int y, int n, const float* rows) {
    const int64_t row = int64_t(extent.w) * c;
    std::copy(rows, rows + n * row, this->row(y));
  }
  float* row(int y) { return pixels.data() + int64_t(y) * extent.w * c; }
  Image image() {
    return {pixels.data(), extent.h, extent.w, c, Depth::f32, int64_t(extent.w) * c * int64_t(sizeof(float))};
  }
};

// Brings network rows [n, w, network_c] to the channels kept between steps, in place where possible.
class ToState {
 public:
  explicit ToState(const ChannelPlan& plan) : plan_(plan) {}
  const float* operator()(const float* rows, int64_t pixels) {
    if (plan_.network_c == plan_.state_c && !plan_.to_gray && !plan_.alpha_to_gray) return rows;
    out_.resize(size_t(pixels) * plan_.state_c);
    const int from = plan_.network_c, to = plan_.state_c;
    for (int64_t i = 0; i < pixels; i++) {
      const float* in = rows + i * from;
      float* out = out_.data() + i * to;
      if (plan_.to_gray)
        rgb_to_gray(in, out, 1);
      else if (from == 1)
        std::fill(out, out + std::min(to, 3), in[0]);
      else
        std::copy(in, in + std::min({from, to, 3}), out);
      if (plan_.alpha_to_gray)
        rgb_to_gray(in + plan_.alpha_at, out + to - 1, 1);
      else if (plan_.alpha_at >= 0)
        out[to - 1] = in[plan_.alpha_at];
    }
    return out_.data();
  }

 private:
  ChannelPlan plan_;
  std::vector<float> out_;
};

// Luma of a colour picture as a float image, for networks that want gray.
Collector luma(const Image& in, Pool& pool) {
  Collector out(in.extent(), 1);
  std::vector<float> rgb(size_t(in.w) * 3);
  for (int y = 0; y < in.h; y++) {
    crop_tile(in.data, in.extent(), in.c, in.depth, in.stride_bytes, y, 0, kFirst3,
              dense_f32(rgb.data(), 1, in.w, 3), pool);
    rgb_to_gray(rgb.data(), out.pixels.data() + int64_t(y) * in.w, in.w);
  }
  return out;
}

// Where an axis wraps, the filter to `kept` wants to see beyond its ends.
Extent padding(Extent hr, Extent kept, int scale, const LoopOptions& o) {
  const auto lr_px = [&](int in, int out) {
    return (TapTable::reach(in, out, o.filter) + scale - 1) / scale;
  };
  return {o.tiles.wrap.y ? lr_px(hr.h, kept.h) : 0, o.tiles.wrap.x ? lr_px(hr.w, kept.w) : 0};
}

// Runs the pass with the planned tiles, and when memory turns out to be short goes on with smaller ones from
// the row of tiles where that was.
void run_resumed(Session& session, Pool& pool, const PassInput& input, const PassPlan& pass,
                 TileOptions options, const RowSink& sink, const Progress& progress) {
  TileGrid grid = pass.grid;
  int next_row = 0;
  bool receiving = false;  // the failure is of whoever takes the rows: no smaller tile helps
  const auto guarded_sink = [&](int y, int n, const float* rows) {
    receiving = true;
    sink(y, n, rows);
    receiving = false;
  };
  for (;;) {
    const int now = std::max(grid.y.tile, grid.x.tile);
    const int side = std::max(now / 2, smallest_tile(session, options));
    try {
      return run_pass(session, pool, input, grid, &next_row, guarded_sink, progress);
    } catch (const Error& e) {
      if (e.code != Code::memory || receiving || side >= now) throw;
    } catch (const std::bad_alloc&) {
      if (receiving || side >= now) throw;
    }
    options.tile_px = side;
    grid = choose_tiles(session, input.extent(), options);
  }
}

// The state of a step with the picture's alpha at its size, to be looked at; empty when there is none to add.
Collector with_alpha(const Image& state, const Image& lr, Filter filter, Wrap wrap, Pool& pool) {
  if (!lr.has_alpha() || state.has_alpha()) return Collector({0, 0}, 0);
  Collector out(state.extent(), state.c + 1);
  Image view = out.image();
  Output output(lr, view, state.c, {.filter = filter, .wrap = wrap}, pool, {});
  for (int y = 0; y < state.h; y++) output.put(y, 1, reinterpret_cast<const float*>(state.row(y)));
  return out;
}

}  // namespace

LoopPlan plan_loop(Session& session, const Image& lr, const LoopOptions& o) {
  check(lr.h >= 1 && lr.w >= 1, Code::usage, "image: is ", lr.w, "x", lr.h, ", expected at least 1x1");
  check(o.scale >= 0, Code::usage, "scale: got ", o.scale, ", expected a positive factor");
  const Info& info = session.info();
  LoopPlan plan;
  plan.lr = lr.extent();
  plan.channels = plan_channels(lr.c, info.in_c, info.out_c, o.alpha_too);
  double factor = o.scale > 0 ? o.scale : info.default_scale;
  if (o.size.h > 0) factor = std::max(double(o.size.h) / lr.h, double(o.size.w) / lr.w);
  TileOptions tiles = o.tiles;
  tiles.runs = int(plan.channels.runs.size());
  int64_t state_bytes = 0, widest = 0;  // float images alive between steps; most during any pass
  Extent now = plan.lr;
  std::vector<Step> steps = schedule(plan.lr, factor, std::max(1, o.steps), o.mode);
  if (o.size.h > 0) steps.back().target = o.size;
  for (const Step& step : steps) {
    StepPlan s{step.target, {}};
    const int passes = passes_needed(now, step.target, info.scale);
    for (int i = 0; i < passes; i++) {
      const Extent hr = scaled_extent(now, info.scale);
      PassPlan pass{now, {}, i == passes - 1};
      const Extent kept = pass.last ? step.target : hr;
      if (!(kept == hr)) pass.pad = padding(hr, kept, info.scale, o);
      pass.grid = choose_tiles(session, {now.h + 2 * pass.pad.h, now.w + 2 * pass.pad.w}, tiles);
      int64_t bytes = state_bytes + pass_bytes(session, pass.grid, tiles);
      if (!(kept == hr))
        bytes += int64_t(RowResizer(hr.h, hr.w, kept.h, kept.w, plan.channels.state_c, o.filter).bytes());
      const int64_t next_bytes = float_bytes(kept, plan.channels.state_c);
      const bool final_pass = pass.last && &step == &steps.back();
      widest = std::max(widest, bytes + (final_pass ? 0 : next_bytes));
      state_bytes = next_bytes;
      plan.flop +=
          double(pass.grid.pixels()) * session.facts().flop_per_px * double(plan.channels.runs.size());
      s.passes.push_back(std::move(pass));
      now = kept;
    }
    plan.steps.push_back(std::move(s));
  }
  plan.hr = plan.steps.back().target;
  plan.peak_bytes = widest + int64_t(session.backend().weight_bytes());
  return plan;
}

void run_loop(Session& session, Pool& pool, const Image& lr, const LoopPlan& plan, const LoopOptions& o,
              Output& output, const StepDone& step_done, const Progress& progress) {
  if (run_device_loop(session, lr, plan, o, output, step_done, progress)) return;
  const ChannelPlan& first_channels = plan.channels;
  const int scale = session.info().scale, state_c = first_channels.state_c;
  // After the first pass the state has state_c channels, so the channel plan is that of such a picture.
  const ChannelPlan later_channels =
      plan_channels(state_c, session.info().in_c, session.info().out_c, o.alpha_too);

  double total = 0, finished = 0;
  for (const StepPlan& step : plan.steps)
    for (const PassPlan& pass : step.passes) total += double(pass.grid.pixels());

  Collector state({0, 0}, 0);  // empty until the first pass has run
  Image now = lr;
  bool first = true;
  const int steps = int(plan.steps.size());
  for (int k = 0; k < steps; k++) {
    const StepPlan& step = plan.steps[k];
    for (const PassPlan& pass : step.passes) {
      const bool final_pass = k == steps - 1 && pass.last;
      const ChannelPlan& channels = first ? first_channels : later_channels;
      first = false;
      if (channels.luma_first) {
        state = luma(now, pool);
        now = state.image();
      }
      const Extent hr = times(pass.lr, scale), kept = pass.last ? step.target : hr;
      Collector next(final_pass ? Extent{0, 0} : kept, state_c);
      auto store = [&](int y, int n, const float* rows) {
        if (final_pass) return output.put(y, n, rows);
        next.put(y, n, rows);
        if (o.kind == Kind::normal) renormalise(next.row(y), int64_t(n) * kept.w, state_c);
      };
      ToState to_state(channels);
      const double share = double(pass.grid.pixels()) / total;
      const PassInput input{now, channels, pass.pad, o.tiles.wrap, o.tiles.tta};
      const Progress pass_progress = [&](double done) {
        if (progress) progress(finished + done * share);
      };
      if (kept == hr) {
        run_resumed(
            session, pool, input, pass, o.tiles,
            [&](int y, int n, const float* rows) { store(y, n, to_state(rows, int64_t(n) * hr.w)); },
            pass_progress);
      } else {
        RowResizer resizer(hr.h, hr.w, kept.h, kept.w, state_c, o.filter,
                           {pass.pad.h * scale, pass.pad.w * scale});
        const int64_t width = int64_t(input.extent().w) * scale;
        run_resumed(
            session, pool, input, pass, o.tiles,
            [&](int, int n, const float* rows) { resizer.push(to_state(rows, n * width), n, pool, store); },
            pass_progress);
      }
      finished += share;
      if (!final_pass) {
        state = std::move(next);
        now = state.image();
      }
    }
    if (step_done && k < steps - 1) {
      Collector shown =
          o.drop_alpha ? Collector({0, 0}, 0) : with_alpha(now, lr, o.filter, o.tiles.wrap, pool);
      step_done(k + 1, steps, shown.c ? shown.image() : now);
    }
  }
}

}  // namespace ups
