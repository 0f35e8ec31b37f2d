// Loops with a resident picture.
#include "runtime/device_loop.h"

#include <algorithm>

#include "kernels/error.h"
#include "runtime/device_pass.h"
#include "runtime/loop_rows.h"

namespace ups {

namespace {

DeviceJob job_for(Session& session, Extent lr, const ChannelPlan& channels, const TileGrid& grid) {
  return {
      lr, &session.plan(grid.tile()), grid, session.info().scale, channels.runs[0], channels.opaque_alpha};
}

// Whether the rows of a pass are the state as it is.
bool plain(const ChannelPlan& c) {
  return c.runs.size() == 1 && !c.luma_first && !c.to_gray && !c.alpha_to_gray && c.network_c == c.state_c;
}

// Tiles of one size.
bool even(const TileGrid& grid) { return grid.y.length.empty() && grid.x.length.empty(); }

// Whether nothing between the first pass and the last needs the host.
bool stays_on_device(const LoopPlan& plan, const LoopOptions& o) {
  if (o.kind == Kind::normal || o.tiles.wrap.any() || o.tiles.tta != 1) return false;
  if (o.rules.whole_last() || plan.at_most) return false;
  for (const StepPlan& step : plan.steps) {
    if (step.passes.empty() || step.step.crop.h) return false;
    for (const PassPlan& pass : step.passes)
      if (!even(pass.grid)) return false;
  }
  return plain(plan.channels);
}

// The planned tiles, or smaller ones when device memory turns out to be short.
TileGrid fit(Session& session, const PassPlan& pass, const ChannelPlan& channels, const DeviceResult& result,
             TileOptions options) {
  TileGrid grid = pass.grid;
  for (;;) {
    try {
      session.device_pass()->prepare(job_for(session, pass.lr, channels, grid), result);
      return grid;
    } catch (const Error& e) {
      const int now = std::max(grid.y.tile, grid.x.tile),
                side = std::max(now / 2, smallest_tile(session, options));
      if (e.code != Code::memory || side >= now) throw;
      options.tile_px = side;
      grid = choose_tiles(session, pass.lr, options);
    }
  }
}

// The picture on the device, for somebody to look at.
Collector download(Session& session, Extent e, int c) {
  Collector shown(e, c);
  session.device_pass()->download(
      [&](int y, int n, const void* rows) { shown.put(y, n, static_cast<const float*>(rows)); });
  return shown;
}

}  // namespace

bool has_device_pass(Session& session, const PassInput& in, const TileGrid& grid) {
  return session.device_pass() && in.channels.runs.size() == 1 && in.pad == Extent{} && !in.wrap.any() &&
         in.tta == 1 && even(grid);
}

void run_device_pass(Session& session, const PassInput& in, const TileGrid& grid, int* next_row,
                     const RowSink& sink, const Progress& progress) {
  const DeviceJob job = job_for(session, in.lr.extent(), in.channels, grid);
  const int64_t row = int64_t(job.hr().w) * job.plan->y.c;
  session.device_pass()->prepare(job, {job.hr()});
  session.device_pass()->upload(in.lr);
  session.device_pass()->run(
      job, {job.hr()},
      [&](int y, int n, const void* rows) {
        hand_out(y, n, next_row,
                 [&](int i, int some) { sink(y + i, some, static_cast<const float*>(rows) + i * row); });
      },
      progress);
}

bool run_device_loop(Session& session, const Image& lr, const LoopPlan& plan, const LoopOptions& o,
                     Output& output, const StepDone& step_done, const Progress& progress) {
  DevicePass* device = session.device_pass();
  const int state_c = plan.channels.state_c;
  const ChannelPlan later = plan_channels(state_c, session.info().in_c, session.info().out_c, o.alpha_too);
  if (!device || !stays_on_device(plan, o) || !plain(later) || (step_done && lr.has_alpha() && !o.drop_alpha))
    return false;
  double total = 0, finished = 0;
  for (const StepPlan& step : plan.steps) total += step.pixels();

  const Depth depth = output.packed_depth();
  bool first = true;
  const int steps = int(plan.steps.size());
  for (int k = 0; k < steps; k++) {
    const StepPlan& step = plan.steps[size_t(k)];
    for (const PassPlan& pass : step.passes) {
      const Extent hr = scaled_extent(pass.lr, session.info().scale);
      DeviceResult result{pass.last ? step.step.target : hr, step.filter};
      result.keep = !(k == steps - 1 && pass.last);
      result.depth = depth;
      const ChannelPlan& channels = first ? plan.channels : later;
      TileGrid grid;
      try {
        if (first) device->upload(lr);
        grid = fit(session, pass, channels, result, o.tiles);
      } catch (const Error& e) {
        if (e.code == Code::memory && first) return false;
        throw;
      }
      first = false;
      const double share = double(pass.grid.pixels()) / total;
      device->run(
          job_for(session, pass.lr, channels, grid), result,
          [&](int y, int n, const void* rows) { output.put_packed(y, n, rows); },
          [&](double done) {
            if (progress)
              progress(std::min(1.0, finished + done * share));  // shares add up to 1 but for rounding
          });
      finished += share;
    }
    if (step_done && k < steps - 1)
      step_done(k + 1, steps, download(session, step.step.target, state_c).image());
  }
  return true;
}

}  // namespace ups
