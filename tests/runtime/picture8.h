// Pictures in memory and their way through the loop driver.
#pragma once

#include "runtime/loop.h"
#include "tests/testing.h"

namespace ups::testing {

struct Picture8 {
  std::vector<uint8_t> bytes;
  Image image;
  Picture8(int w, int h, int c) : bytes(size_t(w) * h * c) {
    image = {bytes.data(), h, w, c, Depth::u8, int64_t(w) * c};
  }
};

inline Picture8 random_picture8(Random& random, int w, int h, int c) {
  Picture8 p(w, h, c);
  for (auto& b : p.bytes) b = uint8_t(random.integer(0, 255));
  return p;
}

inline Picture8 upscale(Session& session, Pool& pool, Picture8& lr, const LoopOptions& options,
                        int* seen_steps = nullptr, std::vector<Extent>* sizes = nullptr) {
  const LoopPlan plan = plan_loop(session, lr.image, options);
  Picture8 hr(plan.hr.w, plan.hr.h, lr.image.c);
  Output output(lr.image, hr.image, plan.channels.state_c, {.filter = options.filter}, pool, {});
  run_loop(session, pool, lr.image, plan, options, output,
           [&](int step, int, const Image& image) {
             if (seen_steps) *seen_steps = step;
             if (sizes) sizes->push_back(image.extent());
             CHECK(image.c == lr.image.c);
           },
           {});
  return hr;
}

}  // namespace ups::testing
