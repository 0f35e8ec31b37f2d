// Pictures in memory, and the whole way through the runtime: prepared, planned, run.
#pragma once

#include <vector>

#include "runtime/picture.h"
#include "tests/runtime/nets.h"

namespace ups::testing {

// f32 pixels, so that nothing is rounded.
struct Pixels {
  std::vector<float> values;
  Image image;
  Pixels(int w, int h, int c) : values(size_t(w) * h * c) {
    image = {values.data(), h, w, c, Depth::f32, int64_t(w) * c * 4};
  }
  Pixels(Pixels&&) = default;
  float& at(int y, int x, int k = 0) { return values[(size_t(y) * image.w + x) * image.c + k]; }
};

inline Pixels random_pixels(Random& random, int w, int h, int c) {
  Pixels p(w, h, c);
  for (float& v : p.values) v = random.uniform();
  return p;
}

// out(y, x) = in(y + dy, x + dx), around the edges.
inline Pixels rolled(Pixels& in, int dy, int dx) {
  Pixels out(in.image.w, in.image.h, in.image.c);
  for (int y = 0; y < in.image.h; y++)
    for (int x = 0; x < in.image.w; x++)
      for (int k = 0; k < in.image.c; k++)
        out.at(y, x, k) = in.at(wrapped(y + dy, in.image.h), wrapped(x + dx, in.image.w), k);
  return out;
}

inline Pixels upscale(Session& session, Pool& pool, Pixels& lr, const LoopOptions& loop = {},
                      const PictureOptions& options = {}) {
  const Picture picture = prepare_picture(lr.image, loop, options, session.info().scale);
  const LoopPlan plan = plan_loop(session, picture.lr, picture.loop);
  Pixels hr(plan.hr.w, plan.hr.h, picture.hr_c);
  Output output(picture.lr, hr.image, picture.nearest ? picture.hr_c : plan.channels.state_c, picture.output,
                pool, {});
  if (picture.nearest)
    put_nearest(picture, plan.hr, pool, output, {});
  else
    run_loop(session, pool, picture.lr, plan, picture.loop, output, {}, {});
  return hr;
}

inline float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float most = 0;
  for (size_t i = 0; i < a.size(); i++) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

}  // namespace ups::testing
