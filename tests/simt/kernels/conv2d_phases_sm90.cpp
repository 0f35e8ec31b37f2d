// conv2d_phases_sm90.cu, and conv2d_sm90.cu for few outputs: in the emulator as a device with sm_90 would
// run them, or on one.
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

const Conv2dVariant& phases() { return conv2d_variant("wgmma-phases"); }
const Conv2dVariant& narrow() { return conv2d_variant("wgmma-narrow"); }

void check_spec(const Conv2dVariant& variant, const DeviceConvSpec& spec, Random& random, int sms,
                int smem_kib = 227) {
  check_on_hopper(variant, spec, random, hopper(sms, smem_kib));
}

}  // namespace

TEST_CASE("the wgmma-phases variant equals the double reference on random shapes",
          "[simt][conv2d][hopper][small][unproven]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(16, 150); i++) {
    take_schedule(i);
    DeviceConvSpec s{.up = 2};
    s.h = random.integer(1, 6), s.w = random.integer(1, 75);
    s.cin = 32 * random.integer(1, 3), s.cout = 64 * random.integer(1, 2);
    s.act = Act(random.integer(0, 3));
    s.x = s.y = s.adds_dtype = s.weight = i % 4 == 3 ? DType::bf16 : DType::f16;
    vary_operands(s, random);
    s.adds = 0, s.scale = 1;
    check_spec(phases(), s, random, random.integer(1, 6));
  }
  take_schedule(0);
}

TEST_CASE("the wgmma-phases variant is right for the tail of ESRGAN",
          "[simt][conv2d][hopper][small][unproven]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  under_each_schedule([&] {
    check_spec(phases(), {.h = 5, .w = 66, .cin = 64, .cout = 64, .up = 2, .act = Act::lrelu}, random, 2);
    // One stage beyond those in use.
    check_spec(phases(),
               {.h = 9,
                .w = 9,
                .cin = 64,
                .cout = 64,
                .up = 2,
                .act = Act::lrelu,
                .row_begin = 3,
                .row_end = 14,
                .upward = true},
               random, 1, 128 + 1 + 18);
  });
}

TEST_CASE("the wgmma-narrow variant equals the double reference on random shapes",
          "[simt][conv2d][hopper][small][unproven]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(10, 100); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.h = random.integer(1, 9), s.w = random.integer(1, 150);
    s.cin = 32 * random.integer(1, 3), s.cout = random.integer(0, 1) ? 3 : random.integer(1, 8);
    s.up = random.integer(0, 3) == 0 ? 2 : 1;
    if (s.up == 2) s.h = (s.h + 1) / 2, s.w = (s.w + 1) / 2;
    s.act = Act(random.integer(0, 5));
    s.x = s.weight = i % 4 == 3 ? DType::bf16 : DType::f16;
    s.y = s.adds_dtype = random.integer(0, 1) ? DType::f32 : s.x;
    vary_operands(s, random);
    s.y_first = random.integer(0, 3), s.y_extra = s.y_first + random.integer(0, 3);
    check_spec(narrow(), s, random, random.integer(1, 6));
  }
  take_schedule(0);
}

TEST_CASE("wgmma-phases and wgmma-narrow are taken only where they are asked for, and say why not",
          "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase up({.h = 3, .w = 3, .cin = 64, .cout = 64, .up = 2}, random),
      last({.h = 3, .w = 3, .cin = 64, .cout = 3}, random);
  DeviceInfo device = hopper();
  CHECK(std::string(variant_name(up.op, device)) == "wgmma");
  CHECK(std::string(variant_name(last.op, device)) == "mma");
  setenv("UPSCALE_VARIANT", "conv2d~wgmma-phases", 1);
  CHECK(std::string(variant_name(up.op, device)) == "wgmma-phases");
  CHECK(std::string(variant_name(last.op, device)) == "mma");
  setenv("UPSCALE_VARIANT", "conv2d~wgmma-narrow", 1);
  CHECK(std::string(variant_name(up.op, device)) == "wgmma");
  CHECK(std::string(variant_name(last.op, device)) == "wgmma-narrow");
  unsetenv("UPSCALE_VARIANT");

  CHECK(std::string(phases().declines(last.op, device)) == "needs channels in multiples of 32");
  Conv2d<Tensor> other = up.op;
  other.up = 1;
  CHECK(std::string(phases().declines(other, device)) == "needs up 2");
  other = up.op, other.w.cout = 96;
  CHECK(std::string(phases().declines(other, device)) == "needs outputs in multiples of 64");
  other = up.op, other.scale = 0.2f;
  CHECK(std::string(phases().declines(other, device)) == "has no addends and no scale");
  other = up.op, other.x.data = static_cast<char*>(other.x.data) + 2;
  CHECK(std::string(phases().declines(other, device)) == "needs pixels on multiples of 16 bytes");
  CHECK(std::string(narrow().declines(up.op, device)) == "needs at most 8 outputs, shuffle 1");
  device.smem_bytes = 140 << 10;
  CHECK(std::string(phases().declines(up.op, device)) == "needs more shared memory than the device has");
  device.sm = 80;
  CHECK(std::string(phases().declines(up.op, device)) == "needs sm_90");
}
