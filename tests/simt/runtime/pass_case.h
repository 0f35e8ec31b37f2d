// A picture through the loop on the CUDA backend, with whole passes on the device or with tiles cut and
// joined on the host: the results must agree.
#pragma once

#include "runtime/backend_cuda.h"
#include "runtime/loop.h"
#include "tests/device/twin.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/wrapped_backend.h"

namespace ups::testing {

struct Pixels {
  std::vector<uint8_t> bytes;
  Image image;
  Pixels(Extent e, int c, Depth depth) : bytes(size_t(e.pixels()) * c * depth_bytes(depth)) {
    image = {bytes.data(), e.h, e.w, c, depth, int64_t(e.w) * c * depth_bytes(depth)};
  }
  float value(size_t i) const {
    if (image.depth == Depth::u8) return bytes[i] / 255.0f;
    if (image.depth == Depth::u16) return reinterpret_cast<const uint16_t*>(bytes.data())[i] / 65535.0f;
    return reinterpret_cast<const float*>(bytes.data())[i];
  }
  size_t samples() const { return size_t(image.extent().pixels()) * image.c; }
};

inline Pixels random_pixels(Random& random, Extent e, int c, Depth depth) {
  Pixels p(e, c, depth);
  for (size_t i = 0; i < p.samples(); i++)
    if (depth == Depth::u8)
      p.bytes[i] = uint8_t(random.integer(0, 255));
    else if (depth == Depth::u16)
      reinterpret_cast<uint16_t*>(p.bytes.data())[i] = uint16_t(random.integer(0, 65535));
    else
      reinterpret_cast<float*>(p.bytes.data())[i] = random.uniform();
  return p;
}

struct LoopResult {
  Pixels hr;
  std::vector<float> steps;  // pixels of all images between steps
};

inline LoopResult run_the_loop(Session& session, const Image& lr, Depth depth, const LoopOptions& options) {
  Pool pool(1);
  const LoopPlan plan = plan_loop(session, lr, options);
  LoopResult result{Pixels(plan.hr, lr.c, depth), {}};
  Output output(lr, result.hr.image, plan.channels.state_c, {.filter = options.filter}, pool, {});
  double last = -1;
  run_loop(
      session, pool, lr, plan, options, output,
      [&](int, int, const Image& image) {
        for (int y = 0; y < image.h; y++) {
          const float* row = reinterpret_cast<const float*>(image.row(y));
          result.steps.insert(result.steps.end(), row, row + int64_t(image.w) * image.c);
        }
      },
      [&](double done) {
        CHECK(done >= last);
        CHECK(done <= 1);
        last = done;
      });
  return result;
}

// Nearest enlargement with the same convolution the nets have: exact in every precision for values it can
// hold.
inline Session device_session(const Network& n, Precision p) {
  return Session(n, make_cuda_backend(test_device(), p));
}
inline Session host_session(const Network& n, Precision p) {
  return Session(n, std::make_unique<WrappedBackend>(make_cuda_backend(test_device(), p)));
}

}  // namespace ups::testing
