// The loop driver at work.
#include "runtime/loop.h"

#include <algorithm>
#include <new>
#include <optional>

#include "kernels/error.h"
#include "runtime/device_loop.h"
#include "runtime/loop_rows.h"

namespace ups {

namespace {

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

// A loop under way: the picture between its steps, and what they share.
class LoopRun {
 public:
  LoopRun(Session& session, Pool& pool, const Image& lr, const LoopPlan& plan, const LoopOptions& o,
          const Progress& progress)
      : session_(session),
        pool_(pool),
        lr_(lr),
        plan_(plan),
        o_(o),
        progress_(progress),
        later_channels_(plan_channels(state_c_, session.info().in_c, session.info().out_c, o.alpha_too)),
        now_(lr) {
    for (const StepPlan& step : plan.steps) total_ += step.pixels();
    if (o.rules.colour_fix != ColourFix::none) anchor_.emplace(lr, colours_of(lr), o.rules.colour_fix, pool);
    if (plan.at_most) adaptive_.emplace(plan.lr, plan.hr, steps(), o.rules.adaptive);
  }

  void run(Output& output, const StepDone& step_done) {
    for (int k = 0; k < steps(); k++) {
      Session& session = o_.session_at ? o_.session_at(k) : session_;
      const StepPlan step = sized(session, k);
      const bool last = k == steps() - 1;
      if (last && !o_.rules.whole_last())
        return run_step(session, step, k, [&](int y, int n, const float* rows) { output.put(y, n, rows); });
      Collector kept(step.step.kept(), state_c_);
      run_step(session, step, k, collecting(kept));
      if (anchor_) anchor_->apply(kept.pixels.data(), kept.extent, state_c_, pool_);
      if (last) {
        if (o_.rules.post.any()) apply_post(kept.pixels.data(), kept.extent, state_c_, o_.rules.post, pool_);
        for (int y = 0; y < kept.extent.h; y++) output.put(y, 1, kept.row(y));
        return;
      }
      hold(std::move(kept));
      if (step_done) show(k + 1, step_done);
    }
  }

 private:
  int steps() const { return int(plan_.steps.size()); }

  // Step k, where sizes follow from the picture: for the picture as it is.
  StepPlan sized(Session& session, int k) {
    if (!adaptive_) return plan_.steps[k];
    return plan_step(session, now_.extent(), {adaptive_->next(mean_of(now_, pool_))}, k, plan_.factor,
                     int(plan_.channels.runs.size()), o_);
  }

  // Rows of the step's result, from top to bottom, go to `sink`.
  void run_step(Session& session, const StepPlan& step, int k, const RowSink& sink) {
    const Extent target = step.step.target;
    std::vector<float> cut;
    const RowSink keep = middle_rows(step.step, state_c_, cut, sink);
    // source(rows) delivers a picture of `from` and of `pad` px around it.
    const auto resize_to_target = [&](Extent from, Extent pad, auto&& source) {
      if (from == target) return source(keep);
      RowResizer resizer(from.h, from.w, target.h, target.w, state_c_, step.filter, pad);
      source([&](int, int n, const float* rows) { resizer.push(rows, n, pool_, keep); });
    };
    if (step.passes.empty())
      resize_to_target(now_.extent(), {}, [&](const RowSink& rows) { rows_of(now_, state_c_, pool_, rows); });
    for (const PassPlan& pass : step.passes) {
      const double planned = plan_.steps[k].pixels() / total_;  // of the whole run
      const double share = planned * double(pass.grid.pixels()) / step.pixels();
      const int scale = session.info().scale;
      const Extent hr = scaled_extent(pass.lr, scale);
      if (pass.last) {
        resize_to_target(hr, {pass.pad.h * scale, pass.pad.w * scale},
                         [&](const RowSink& rows) { run_network(session, pass, share, rows); });
      } else {
        Collector next(hr, state_c_);
        run_network(session, pass, share, collecting(next));
        hold(std::move(next));
      }
      finished_ += share;
    }
    first_ = false;
  }

  // The network over the picture; rows [n, width, state_c] go to `sink`.
  void run_network(Session& session, const PassPlan& pass, double share, const RowSink& sink) {
    const ChannelPlan& channels = first_ ? plan_.channels : later_channels_;
    first_ = false;
    if (channels.luma_first) hold(luma(now_, pool_));
    ToState to_state(channels);
    const PassInput input{now_, channels, pass.pad, o_.tiles.wrap, o_.tiles.tta};
    const int64_t width = int64_t(input.extent().w) * session.info().scale;
    run_resumed(
        session, pool_, input, pass, o_.tiles,
        [&](int y, int n, const float* rows) { sink(y, n, to_state(rows, n * width)); },
        [&](double done) {
          if (progress_)
            progress_(std::min(1.0, finished_ + done * share));  // shares add up to 1 but for rounding
        });
  }

  RowSink collecting(Collector& into) const {
    return [this, &into](int y, int n, const float* rows) {
      into.put(y, n, rows);
      if (o_.kind == Kind::normal) renormalise(into.row(y), int64_t(n) * into.extent.w, state_c_);
    };
  }

  void hold(Collector&& picture) {
    state_ = std::move(picture);
    now_ = state_.image();
  }

  void show(int done, const StepDone& step_done) {
    Collector shown =
        o_.drop_alpha ? Collector({0, 0}, 0) : with_alpha(now_, lr_, o_.filter, o_.tiles.wrap, pool_);
    step_done(done, steps(), shown.c ? shown.image() : now_);
  }

  Session& session_;  // the one planned with
  Pool& pool_;
  const Image lr_;
  const LoopPlan& plan_;
  const LoopOptions& o_;
  const Progress& progress_;
  const int state_c_ = plan_.channels.state_c;
  // After the first pass the picture has state_c channels.
  const ChannelPlan later_channels_;
  std::optional<ColourAnchor> anchor_;
  std::optional<AdaptiveLoopback> adaptive_;
  double total_ = 0, finished_ = 0;  // work in px; done, of 1

  Collector state_{{0, 0}, 0};  // empty until the first pass has run
  Image now_;                   // the input, then what state_ holds
  bool first_ = true;           // no pass has run: now_ has the channels of the input
};

}  // namespace

void run_loop(Session& session, Pool& pool, const Image& whole_lr, const LoopPlan& plan, const LoopOptions& o,
              Output& output, const StepDone& step_done, const Progress& progress) {
  const Image lr = middle(whole_lr, plan.lr);
  if (!o.session_at && run_device_loop(session, lr, plan, o, output, step_done, progress)) return;
  LoopRun(session, pool, lr, plan, o, progress).run(output, step_done);
}

}  // namespace ups
