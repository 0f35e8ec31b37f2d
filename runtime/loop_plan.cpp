// What a loop will do, and the memory it takes, before anything runs.
#include <algorithm>

#include "kernels/error.h"
#include "runtime/loop.h"
#include "runtime/loop_rows.h"

namespace ups {

namespace {

int64_t float_bytes(Extent e, int c) { return e.pixels() * c * int64_t(sizeof(float)); }

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
  check(!o.rules.faithful || o.mode != StepMode::once, Code::usage,
        "faithful: one pass comes from no other system (use another step mode)");
  std::vector<Step> steps = loop_steps(start, factor, std::max(1, o.steps), o.mode, o.rules);
  if (o.size.h > 0) steps.back().target = o.size;
  return steps;
}

}  // namespace

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
  plan.factor = factor_of(plan.lr, info.default_scale, o);
  int64_t state_bytes = 0, widest = 0;  // float images alive between steps; most during any pass
  int64_t anchor_bytes = 0;
  Extent now = plan.lr;
  const std::vector<Step> steps = steps_of(plan.lr, plan.factor, o);
  for (int k = 0; k < int(steps.size()); k++) {
    StepPlan s = plan_step(session, now, steps[k], k, plan.factor, tiles.runs, o);
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

}  // namespace ups
