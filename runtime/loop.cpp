// The loop driver.
#include "runtime/loop.h"

#include <algorithm>
#include <optional>

#include "kernels/error.h"
#include "runtime/loop_rows.h"

namespace ups {

namespace {

int64_t float_bytes(Extent e, int c) { return e.pixels() * c * int64_t(sizeof(float)); }

Extent times(Extent e, int scale) { return {e.h * scale, e.w * scale}; }

// The planned tiles, or smaller ones when memory turns out to be short.
TileGrid fit_tiles(Session& session, const PassPlan& pass, TileOptions options) {
  TileGrid grid = pass.grid;
  for (;;) {
    try {
      session.prepare(grid.tile());
      return grid;
    } catch (const Error& e) {
      const int side = std::max(grid.y.tile, grid.x.tile) / 2;
      if (e.code != Code::memory || side < 64) throw;
      options.tile_px = side;
      grid = choose_tiles(session, pass.lr, options);
    }
  }
}

// The state of a step with the picture's alpha at its size, to be looked at; empty when there is none to add.
Collector with_alpha(const Image& state, const Image& lr, Filter filter, Pool& pool) {
  if (!lr.has_alpha() || state.has_alpha()) return Collector({0, 0}, 0);
  Collector out(state.extent(), state.c + 1);
  Image view = out.image();
  Output output(lr, view, state.c, filter, pool, {});
  for (int y = 0; y < state.h; y++) output.put(y, 1, reinterpret_cast<const float*>(state.row(y)));
  return out;
}

double factor_of(double default_scale, const LoopOptions& o) {
  check(o.scale >= 0, Code::usage, "scale: got ", o.scale, ", expected a positive factor");
  return o.scale > 0 ? o.scale : default_scale;
}

StepPlan plan_step(Session& session, Extent from, const Step& step, int k, const LoopOptions& o) {
  const Info& info = session.info();
  StepPlan s{step, o.filter, {}};
  if (const auto& filters = o.rules.filters; !filters.empty())
    s.filter = filters[std::min(size_t(k), filters.size() - 1)];
  const int passes =
      loop_passes(from, step.target, info.scale, factor_of(info.default_scale, o), o.mode, o.rules);
  for (int i = 0; i < passes; i++) {
    s.passes.push_back({from, choose_tiles(session, from, o.tiles), i == passes - 1});
    from = scaled_extent(from, info.scale);
  }
  return s;
}

}  // namespace

Extent loop_output(Extent lr, double default_scale, const LoopOptions& o) {
  const double factor = factor_of(default_scale, o);
  const Extent start = loop_start(lr, o.mode, o.rules);
  return loop_steps(start, factor, std::max(1, o.steps), o.mode, o.rules).back().kept();
}

LoopPlan plan_loop(Session& session, const Image& lr, const LoopOptions& o) {
  check(lr.h >= 1 && lr.w >= 1, Code::usage, "image: is ", lr.w, "x", lr.h, ", expected at least 1x1");
  check(!o.rules.faithful || !lr.has_alpha(), Code::usage,
        "image: has transparency, which the systems that faithful sizes come from drop (remove it)");
  const Info& info = session.info();
  LoopPlan plan;
  plan.lr = loop_start(lr.extent(), o.mode, o.rules);
  plan.at_most = o.mode == StepMode::loopback && o.rules.adaptive > 0;
  plan.channels = plan_channels(lr.c, info.in_c, info.out_c);
  const int state_c = plan.channels.state_c;
  const double factor = factor_of(info.default_scale, o);
  int64_t state_bytes = 0, widest = 0;  // float images alive between steps; most during any pass
  Extent now = plan.lr;
  const std::vector<Step> steps = loop_steps(plan.lr, factor, std::max(1, o.steps), o.mode, o.rules);
  int64_t anchor_bytes = 0;
  for (int k = 0; k < int(steps.size()); k++) {
    StepPlan s = plan_step(session, now, steps[k], k, o);
    const Extent target = s.step.target, kept = s.step.kept();
    const bool streamed = k == int(steps.size()) - 1 && !o.rules.whole_last();
    auto resizer_bytes = [&](Extent from) {
      return from == target
                 ? 0
                 : int64_t(RowResizer(from.h, from.w, target.h, target.w, state_c, s.filter).bytes());
    };
    const int64_t kept_bytes = streamed ? 0 : float_bytes(kept, state_c);
    for (const PassPlan& pass : s.passes) {
      const Extent hr = scaled_extent(now, info.scale);
      int64_t bytes = state_bytes + pass_bytes(session, pass.grid, info.out_c);
      if (pass.last) bytes += resizer_bytes(hr);
      const int64_t next_bytes = pass.last ? kept_bytes : float_bytes(hr, state_c);
      widest = std::max(widest, bytes + next_bytes);
      state_bytes = next_bytes;
      plan.flop +=
          double(pass.grid.pixels()) * session.facts().flop_per_px * double(plan.channels.runs.size());
      now = pass.last ? kept : hr;
    }
    if (s.passes.empty()) {
      widest = std::max(widest, state_bytes + resizer_bytes(now) + kept_bytes);
      state_bytes = kept_bytes, now = kept;
    }
    if (o.rules.colour_fix != ColourFix::none)
      anchor_bytes =
          std::max(anchor_bytes, ColourAnchor::bytes_for(plan.lr, kept, colours_of(lr), o.rules.colour_fix));
    widest = std::max(
        widest,
        state_bytes + (o.rules.post.any() && k == int(steps.size()) - 1 ? post_bytes(kept, state_c) : 0));
    plan.steps.push_back(std::move(s));
  }
  plan.hr = plan.steps.back().step.kept();
  plan.peak_bytes = widest + anchor_bytes + int64_t(session.backend().weight_bytes());
  return plan;
}

void run_loop(Session& session, Pool& pool, const Image& whole_lr, const LoopPlan& plan, const LoopOptions& o,
              Output& output, const StepDone& step_done, const Progress& progress) {
  const Image lr = middle(whole_lr, plan.lr);
  const ChannelPlan& first_channels = plan.channels;
  const int scale = session.info().scale, state_c = first_channels.state_c;
  // After the first pass the state has state_c channels, so the channel plan is that of such a picture.
  const ChannelPlan later_channels = plan_channels(state_c, session.info().in_c, session.info().out_c);

  double total = 0, finished = 0;
  for (const StepPlan& step : plan.steps)
    for (const PassPlan& pass : step.passes) total += double(pass.grid.pixels());

  std::optional<ColourAnchor> anchor;
  if (o.rules.colour_fix != ColourFix::none) anchor.emplace(lr, colours_of(lr), o.rules.colour_fix, pool);
  const int steps = int(plan.steps.size());
  std::optional<AdaptiveLoopback> adaptive;
  if (plan.at_most) adaptive.emplace(plan.lr, plan.hr, steps, o.rules.adaptive);

  Collector state({0, 0}, 0);  // empty until the first step has run
  std::vector<float> cut;
  Image now = lr;
  bool first = true;
  for (int k = 0; k < steps; k++) {
    const StepPlan step = adaptive
                              ? plan_step(session, now.extent(), {adaptive->next(mean_of(now, pool))}, k, o)
                              : plan.steps[k];
    const bool last_step = k == steps - 1, streamed = last_step && !o.rules.whole_last();
    const Extent target = step.step.target;
    double planned = 0, actual = 0;  // work; they differ where sizes follow from the picture
    for (const PassPlan& pass : plan.steps[k].passes) planned += double(pass.grid.pixels());
    for (const PassPlan& pass : step.passes) actual += double(pass.grid.pixels());
    Collector kept(streamed ? Extent{0, 0} : step.step.kept(), state_c);
    const RowSink keep = middle_rows(step.step, state_c, cut, [&](int y, int n, const float* rows) {
      streamed ? output.put(y, n, rows) : kept.put(y, n, rows);
    });
    auto resize_to_target = [&](Extent from, auto&& source) {
      if (from == target) return source(keep);
      RowResizer resizer(from.h, from.w, target.h, target.w, state_c, step.filter);
      source([&](int, int n, const float* rows) { resizer.push(rows, n, pool, keep); });
    };
    if (step.passes.empty())
      resize_to_target(now.extent(), [&](const RowSink& sink) { rows_of(now, state_c, pool, sink); });
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
      const TileGrid grid = fit_tiles(session, pass, o.tiles);
      const Progress pass_progress = [&](double done) {
        if (progress) progress(finished + done * share);
      };
      auto run = [&](const RowSink& sink) {
        run_pass(
            session, pool, now, channels, grid,
            [&](int y, int n, const float* rows) { sink(y, n, to_state(rows, int64_t(n) * hr.w)); },
            pass_progress);
      };
      if (pass.last) {
        resize_to_target(hr, run);
      } else {
        Collector next(hr, state_c);
        run([&](int y, int n, const float* rows) { next.put(y, n, rows); });
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
      for (int y = 0; y < kept.extent.h; y++)
        output.put(y, 1, kept.pixels.data() + int64_t(y) * kept.extent.w * state_c);
      break;
    }
    state = std::move(kept);
    now = state.image();
    if (step_done) {
      Collector shown = with_alpha(now, lr, o.filter, pool);
      step_done(k + 1, steps, shown.c ? shown.image() : now);
    }
  }
}

}  // namespace ups
