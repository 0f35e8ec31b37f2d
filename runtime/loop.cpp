// The loop driver.
#include "runtime/loop.h"

#include <algorithm>
#include <new>
#include <optional>

#include "kernels/error.h"
#include "runtime/device_loop.h"
#include "runtime/loop_rows.h"

namespace ups {

namespace {

int64_t float_bytes(Extent e, int c) { return e.pixels() * c * int64_t(sizeof(float)); }

Extent times(Extent e, int scale) { return {e.h * scale, e.w * scale}; }

// Where an axis wraps, the filter to the target wants to see beyond its ends.
Extent padding(Extent hr, Extent target, int scale, Filter filter, Wrap wrap) {
  const auto lr_px = [&](int in, int out) { return (TapTable::reach(in, out, filter) + scale - 1) / scale; };
  return {wrap.y ? lr_px(hr.h, target.h) : 0, wrap.x ? lr_px(hr.w, target.w) : 0};
}

double factor_of(Extent lr, double default_scale, const LoopOptions& o) {
  check(o.scale >= 0, Code::usage, "scale: got ", o.scale, ", expected a positive factor");
  if (o.size.h > 0) return std::max(double(o.size.h) / lr.h, double(o.size.w) / lr.w);
  return o.scale > 0 ? o.scale : default_scale;
}

std::vector<Step> steps_of(Extent start, double factor, const LoopOptions& o) {
  check(!o.rules.faithful || o.size.h == 0, Code::usage,
        "faithful: sizes follow from a factor, not from a size (give --scale)");
  std::vector<Step> steps = loop_steps(start, factor, std::max(1, o.steps), o.mode, o.rules);
  if (o.size.h > 0) steps.back().target = o.size;
  return steps;
}

// Step k, from a picture of this size.
StepPlan plan_step(Session& session, Extent from, const Step& step, int k, double factor, int runs,
                   const LoopOptions& o) {
  const int scale = session.info().scale;
  StepPlan s{step, o.filter, {}};
  if (const auto& filters = o.rules.filters; !filters.empty())
    s.filter = filters[std::min(size_t(k), filters.size() - 1)];
  TileOptions tiles = o.tiles;
  tiles.runs = runs;
  const int passes = loop_passes(from, step.target, scale, factor, o.mode, o.rules);
  for (int i = 0; i < passes; i++) {
    const Extent hr = scaled_extent(from, scale);
    PassPlan pass{from, {}, i == passes - 1};
    if (pass.last && !(step.target == hr)) pass.pad = padding(hr, step.target, scale, s.filter, o.tiles.wrap);
    pass.grid = choose_tiles(session, {from.h + 2 * pass.pad.h, from.w + 2 * pass.pad.w}, tiles);
    s.passes.push_back(std::move(pass));
    from = hr;
  }
  return s;
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

Extent loop_output(Extent lr, double default_scale, const LoopOptions& o) {
  const Extent start = loop_start(lr, o.mode, o.rules);
  return steps_of(start, factor_of(start, default_scale, o), o).back().kept();
}

LoopPlan plan_loop(Session& session, const Image& lr, const LoopOptions& o) {
  check(lr.h >= 1 && lr.w >= 1, Code::usage, "image: is ", lr.w, "x", lr.h, ", expected at least 1x1");
  check(!o.rules.faithful || (!lr.has_alpha() && !o.tiles.wrap.x && !o.tiles.wrap.y), Code::usage,
        "faithful: the systems it follows have neither transparency nor wrapping (remove them)");
  const Info& info = session.info();
  LoopPlan plan;
  plan.lr = loop_start(lr.extent(), o.mode, o.rules);
  plan.at_most = o.mode == StepMode::loopback && o.rules.adaptive > 0;
  plan.channels = plan_channels(lr.c, info.in_c, info.out_c, o.alpha_too);
  const int state_c = plan.channels.state_c;
  TileOptions tiles = o.tiles;
  tiles.runs = int(plan.channels.runs.size());
  const double factor = factor_of(plan.lr, info.default_scale, o);
  int64_t state_bytes = 0, widest = 0;  // float images alive between steps; most during any pass
  int64_t anchor_bytes = 0;
  Extent now = plan.lr;
  const std::vector<Step> steps = steps_of(plan.lr, factor, o);
  for (int k = 0; k < int(steps.size()); k++) {
    StepPlan s = plan_step(session, now, steps[k], k, factor, tiles.runs, o);
    const Extent target = s.step.target, kept = s.step.kept();
    const bool last_step = k == int(steps.size()) - 1, streamed = last_step && !o.rules.whole_last();
    auto resizer_bytes = [&](Extent from) {
      return from == target
                 ? 0
                 : int64_t(RowResizer(from.h, from.w, target.h, target.w, state_c, s.filter).bytes());
    };
    const int64_t kept_bytes = streamed ? 0 : float_bytes(kept, state_c);
    for (const PassPlan& pass : s.passes) {
      const Extent hr = scaled_extent(now, info.scale);
      int64_t bytes = state_bytes + pass_bytes(session, pass.grid, tiles);
      if (pass.last) bytes += resizer_bytes(hr);
      const int64_t next_bytes = pass.last ? kept_bytes : float_bytes(hr, state_c);
      widest = std::max(widest, bytes + next_bytes);
      state_bytes = next_bytes;
      plan.flop += double(pass.grid.pixels()) * session.facts().flop_per_px * double(tiles.runs);
      now = pass.last ? kept : hr;
    }
    if (s.passes.empty()) {
      widest = std::max(widest, state_bytes + resizer_bytes(now) + kept_bytes);
      state_bytes = kept_bytes, now = kept;
    }
    if (o.rules.colour_fix != ColourFix::none)
      anchor_bytes =
          std::max(anchor_bytes, ColourAnchor::bytes_for(plan.lr, kept, colours_of(lr), o.rules.colour_fix));
    if (last_step && o.rules.post.any()) widest = std::max(widest, state_bytes + post_bytes(kept, state_c));
    plan.steps.push_back(std::move(s));
  }
  plan.hr = plan.steps.back().step.kept();
  plan.peak_bytes = widest + anchor_bytes + int64_t(session.backend().weight_bytes());
  return plan;
}

void run_loop(Session& planned_with, Pool& pool, const Image& whole_lr, const LoopPlan& plan,
              const LoopOptions& o, Output& output, const StepDone& step_done, const Progress& progress) {
  const Image lr = middle(whole_lr, plan.lr);
  if (!o.session_at && run_device_loop(planned_with, lr, plan, o, output, step_done, progress)) return;
  const ChannelPlan& first_channels = plan.channels;
  const Info& info = planned_with.info();
  const int scale = info.scale, state_c = first_channels.state_c;
  // After the first step the state has state_c channels, so the channel plan is that of such a picture.
  const ChannelPlan later_channels = plan_channels(state_c, info.in_c, info.out_c, o.alpha_too);

  double total = 0, finished = 0;
  for (const StepPlan& step : plan.steps)
    for (const PassPlan& pass : step.passes) total += double(pass.grid.pixels());

  std::optional<ColourAnchor> anchor;
  if (o.rules.colour_fix != ColourFix::none) anchor.emplace(lr, colours_of(lr), o.rules.colour_fix, pool);
  const int steps = int(plan.steps.size());
  std::optional<AdaptiveLoopback> adaptive;
  if (plan.at_most) adaptive.emplace(plan.lr, plan.hr, steps, o.rules.adaptive);

  Collector state({0, 0}, 0);  // empty until the first pass has run
  std::vector<float> cut;
  Image now = lr;
  bool first = true;
  for (int k = 0; k < steps; k++) {
    Session& session = o.session_at ? o.session_at(k) : planned_with;
    const StepPlan step =
        adaptive ? plan_step(session, now.extent(), {adaptive->next(mean_of(now, pool))}, k,
                             factor_of(plan.lr, info.default_scale, o), int(first_channels.runs.size()), o)
                 : plan.steps[k];
    const bool last_step = k == steps - 1, streamed = last_step && !o.rules.whole_last();
    const Extent target = step.step.target;
    double planned = 0, actual = 0;  // work; they differ where sizes follow from the picture
    for (const PassPlan& pass : plan.steps[k].passes) planned += double(pass.grid.pixels());
    for (const PassPlan& pass : step.passes) actual += double(pass.grid.pixels());
    Collector kept(streamed ? Extent{0, 0} : step.step.kept(), state_c);
    const RowSink keep = middle_rows(step.step, state_c, cut, [&](int y, int n, const float* rows) {
      if (streamed) return output.put(y, n, rows);
      kept.put(y, n, rows);
      if (o.kind == Kind::normal) renormalise(kept.row(y), int64_t(n) * kept.extent.w, state_c);
    });
    // source(sink) delivers rows of `from` and of `pad` px around it.
    auto resize_to_target = [&](Extent from, Extent pad, auto&& source) {
      if (from == target) return source(keep);
      RowResizer resizer(from.h, from.w, target.h, target.w, state_c, step.filter, pad);
      source([&](int, int n, const float* rows) { resizer.push(rows, n, pool, keep); });
    };
    if (step.passes.empty())
      resize_to_target(now.extent(), {}, [&](const RowSink& sink) { rows_of(now, state_c, pool, sink); });
    for (const PassPlan& pass : step.passes) {
      const ChannelPlan& channels = first ? first_channels : later_channels;
      first = false;
      if (channels.luma_first) {
        state = luma(now, pool);
        now = state.image();
      }
      const Extent hr = times(pass.lr, scale);
      ToState to_state(channels);
      const double share = double(pass.grid.pixels()) / actual * planned / total;
      const PassInput input{now, channels, pass.pad, o.tiles.wrap, o.tiles.tta};
      const int64_t width = int64_t(input.extent().w) * scale;
      const Progress pass_progress = [&](double done) {
        if (progress) progress(finished + done * share);
      };
      auto run = [&](const RowSink& sink) {
        run_resumed(
            session, pool, input, pass, o.tiles,
            [&](int y, int n, const float* rows) { sink(y, n, to_state(rows, n * width)); }, pass_progress);
      };
      if (pass.last) {
        resize_to_target(hr, {pass.pad.h * scale, pass.pad.w * scale}, run);
      } else {
        Collector next(hr, state_c);
        run([&](int y, int n, const float* rows) {
          next.put(y, n, rows);
          if (o.kind == Kind::normal) renormalise(next.row(y), int64_t(n) * hr.w, state_c);
        });
        state = std::move(next);
        now = state.image();
      }
      finished += share;
    }
    first = false;
    if (streamed) break;
    if (anchor) anchor->apply(kept.pixels.data(), kept.extent, state_c, pool);
    if (last_step) {
      if (o.rules.post.any()) apply_post(kept.pixels.data(), kept.extent, state_c, o.rules.post, pool);
      for (int y = 0; y < kept.extent.h; y++) output.put(y, 1, kept.row(y));
      break;
    }
    state = std::move(kept);
    now = state.image();
    if (step_done) {
      Collector shown =
          o.drop_alpha ? Collector({0, 0}, 0) : with_alpha(now, lr, o.filter, o.tiles.wrap, pool);
      step_done(k + 1, steps, shown.c ? shown.image() : now);
    }
  }
}

}  // namespace ups
