// What the tests of the wgmma convolutions share: the device, the variant, and random operands.
#pragma once

#include <algorithm>

#include "tests/simt/kernels/conv_case.h"

namespace ups::testing {

inline const cuda::Conv2dVariant& conv2d_variant(const char* name) {
  for (const cuda::Conv2dVariant& v : cuda::conv2d_variants())
    if (std::string(v.name) == name) return v;
  FAIL("no variant " << name);
  return cuda::conv2d_variants().front();
}

// On a GPU too, how the work is divided depends on this number of multiprocessors.
inline cuda::DeviceInfo hopper(int sms = 3, int smem_kib = 227) {
  cuda::DeviceInfo d = test_device();
  d.sm = 90, d.num_sms = sms, d.smem_bytes = smem_kib << 10;
  return d;
}

// False, and a line that says so, on a GPU of another architecture.
inline bool runs_on_hopper() {
  if (!kOnGpu || test_device().sm == 90) return true;
  WARN("skipped: needs sm_90, this is " << test_device().name);
  return false;
}

// The convolution `spec` of random operands by `variant`, against the double reference.
inline void check_on_hopper(const cuda::Conv2dVariant& variant, const DeviceConvSpec& spec, Random& random,
                            const cuda::DeviceInfo& device) {
  cuda::Stream stream(device);
  DeviceConvCase c(spec, random);
  c.computed_by(variant);
  c.drop_unneeded_rows();
  c.y.memory->poison();
  INFO(c.describe() << " on " << device.num_sms << " SMs of " << (device.smem_bytes >> 10) << " KiB");
  REQUIRE(variant.declines(c.op, stream.device()) == nullptr);
  const int rows = c.op.y.h / spec.shuffle;
  variant.launch(c.op, stream, {spec.row_begin, std::min(spec.row_end, rows), spec.upward});
  stream.synchronize();
  CHECK(c.verdict() == "");
}

// Addends, slices that 16-byte moves allow, bias, scale, direction and rows.
inline void vary_operands(DeviceConvSpec& s, Random& random) {
  s.adds = random.integer(0, 2);
  if (random.integer(0, 1)) s.x_first = random.integer(0, 2) * 8, s.x_extra = s.x_first + 8;
  if (random.integer(0, 1)) s.y_first = random.integer(0, 2) * 8, s.y_extra = s.y_first + 8;
  s.bias = random.integer(0, 4) > 0;
  s.scale = random.integer(0, 1) ? 0.2f : 1.0f;
  s.upward = random.integer(0, 1);
  const int rows = DeviceConvCase::out(s.h, s);
  if (random.integer(0, 2) == 0)
    s.row_begin = random.integer(0, rows - 1), s.row_end = random.integer(s.row_begin + 1, rows);
}

}  // namespace ups::testing
