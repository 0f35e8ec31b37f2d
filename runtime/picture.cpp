// Kinds and alpha modes, decided once per picture.
#include "runtime/picture.h"

#include <algorithm>

#include "kernels/error.h"
#include "runtime/alpha.h"

namespace ups {

namespace {

int64_t resampler_bytes(const Image& from, Extent to, int c, Filter filter) {
  return int64_t(RowResizer(from.h, from.w, to.h, to.w, c, filter).bytes());
}

}  // namespace

Picture prepare_picture(const Image& lr, const LoopOptions& loop, const PictureOptions& o,
                        int network_scale) {
  check(o.source_share >= 0 && o.source_share <= 1, Code::usage, "blend: got ", o.source_share,
        ", expected 0 to 1");
  check(o.kind != Kind::normal || lr.c >= 3, Code::usage, "image: has ", lr.c,
        " channels, expected at least 3 of a normal map");
  Picture p;
  p.lr = lr;
  p.hr_c = lr.c;
  p.loop = loop;
  p.loop.kind = o.kind;
  p.output = {
      .filter = loop.filter, .wrap = loop.tiles.wrap, .kind = o.kind, .source_share = float(o.source_share)};
  if (o.kind == Kind::data || o.kind == Kind::normal) p.loop.alpha_too = true;  // a channel like the others
  if (o.kind == Kind::mask) {
    const auto values = lr.data ? two_values(lr) : std::pair(0.0f, 1.0f);
    p.nearest = lr.c > 1 || !values;
    if (p.nearest) p.output.kind = Kind::data;
    if (!p.nearest) p.output.low = values->first, p.output.high = values->second;
  }
  if (o.kind != Kind::color || !lr.has_alpha()) return p;
  if (o.alpha == AlphaMode::drop) {
    p.hr_c--;
    p.loop.drop_alpha = true;
    return p;
  }
  p.output.alpha = lr.data ? constant_alpha(lr) : std::nullopt;
  if (p.output.alpha) return p;
  p.loop.alpha_too = o.alpha == AlphaMode::model || (o.alpha == AlphaMode::automatic && network_scale > 1);
  if (lr.data && !has_transparent_pixels(lr)) return p;
  p.working_bytes = bled_bytes(lr);
  if (!lr.data) return p;
  p.copy = bled(lr, loop.tiles.wrap);
  p.lr.data = p.copy.data();
  p.lr.stride_bytes = int64_t(lr.w) * lr.c * depth_bytes(lr.depth);
  return p;
}

int64_t picture_bytes(const Picture& p, const LoopPlan& plan) {
  int64_t bytes = p.working_bytes;
  if (p.nearest) return bytes;
  const auto resampler = [&](int c) { return resampler_bytes(p.lr, plan.hr, c, p.output.filter); };
  if (plan.channels.state_c < p.hr_c && !p.output.alpha) bytes += resampler(1);
  if (p.output.source_share > 0) bytes += resampler(std::min(plan.channels.state_c, p.lr.c));
  return bytes;
}

void skip_network(LoopPlan& plan, const Picture& p, const Session& session) {
  plan.steps.erase(plan.steps.begin(), plan.steps.end() - 1);
  plan.steps.back().passes.clear();
  plan.flop = 0;
  plan.peak_bytes =
      int64_t(session.backend().weight_bytes()) + resampler_bytes(p.lr, plan.hr, p.hr_c, Filter::nearest);
}

void put_nearest(const Picture& p, Extent hr, Pool& pool, Output& output, const Progress& progress) {
  constexpr int kRows = 32;
  SourceRows source(p.lr, first_channels(p.hr_c), hr, Filter::nearest, p.output.wrap, pool);
  for (int y = 0; y < hr.h; y += kRows) {
    const int n = std::min(kRows, hr.h - y);
    output.put(y, n, source.rows(y, n));
    if (progress) progress(double(y + n) / hr.h);
  }
}

}  // namespace ups
