// conv2d_stream_sm90.cu: in the emulator as a device with sm_90 would run it, or on one.
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

const Conv2dVariant& stream_variant() { return conv2d_variant("wgmma-stream"); }

// smem_kib: what a block may have; with less, more of the weights are streamed.
void check_spec(const DeviceConvSpec& spec, Random& random, int sms, int smem_kib = 227) {
  check_on_hopper(stream_variant(), spec, random, hopper(sms, smem_kib));
}

}  // namespace

TEST_CASE("the wgmma-stream variant equals the double reference on random shapes",
          "[simt][conv2d][hopper][small][unproven]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(10, 120); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.h = random.integer(1, 9), s.w = random.integer(1, 150);
    s.cin = 64 * random.integer(1, 3), s.cout = 64 * random.integer(1, 2);
    s.act = Act(random.integer(0, 3));
    if (s.act == Act::gelu || s.act == Act::silu) s.act = Act::none;
    s.x = s.y = s.adds_dtype = s.weight = i % 4 == 3 ? DType::bf16 : DType::f16;
    vary_operands(s, random);
    // 92 and 100 KiB: nothing stays. 117: two steps do.
    const int smem_kib[] = {227, 92, 100, 117, 160};
    check_spec(s, random, random.integer(1, 6), smem_kib[i % 5]);
  }
  take_schedule(0);
}

TEST_CASE("the wgmma-stream variant is right for the last convolution of a dense block",
          "[simt][conv2d][hopper][small][unproven]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  under_each_schedule([&] {
    check_spec({.h = 5, .w = 33, .cin = 192, .cout = 64, .adds = 2, .scale = 0.04f}, random, 2);
    check_spec({.h = 3, .w = 131, .cin = 192, .cout = 64, .act = Act::prelu, .upward = true}, random, 3);
  });
}

TEST_CASE("the wgmma-stream variant is taken only where it is asked for, and says why not",
          "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .cin = 192, .cout = 64}, random);
  DeviceInfo device = hopper();
  CHECK(std::string(variant_name(c.op, device)) == "wgmma");
  CHECK(stream_variant().declines(c.op, device) == nullptr);
  DeviceConvCase many({.h = 3, .w = 3, .cin = 320, .cout = 64}, random);
  CHECK(stream_variant().declines(many.op, device) == nullptr);
  CHECK(std::string(variant_name(many.op, device)) != "wgmma-stream");
  setenv("UPSCALE_VARIANT", "other=x,conv2d~wgmma-stream", 1);
  CHECK(std::string(variant_name(c.op, device)) == "wgmma-stream");
  Conv2d<Tensor> twice = c.op;
  twice.up = 2;
  CHECK(std::string(stream_variant().declines(twice, device)) == "needs up 1");
  CHECK(std::string(variant_name(twice, device)) == "wgmma");
  setenv("UPSCALE_VARIANT", "conv2d~fast", 1);
  CHECK_THROWS_WITH(variant_name(c.op, device), "conv2d: UPSCALE_VARIANT: there is no fast");
  unsetenv("UPSCALE_VARIANT");
  Conv2d<Tensor> narrow = c.op;
  narrow.w.cout = 32;
  CHECK(std::string(stream_variant().declines(narrow, device)) == "needs channels in multiples of 64");
  device.smem_bytes = 80 << 10;
  CHECK(std::string(stream_variant().declines(c.op, device)) ==
        "needs more shared memory than the device has");
}
