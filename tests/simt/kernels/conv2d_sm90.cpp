// conv2d_sm90.cu: in the emulator as a device with sm_90 would run it, or on one.
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

const Conv2dVariant& wgmma() { return conv2d_variant("wgmma"); }

void check_spec(const DeviceConvSpec& spec, Random& random, int sms = 3) {
  check_on_hopper(wgmma(), spec, random, hopper(sms));
}

}  // namespace

TEST_CASE("the wgmma variant equals the double reference on random shapes", "[simt][conv2d][hopper][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(14, 150); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.h = random.integer(1, 9), s.w = random.integer(1, 150);
    s.cin = 32 * random.integer(1, 3), s.cout = 32 * random.integer(1, 3);
    s.up = random.integer(0, 3) == 0 ? 2 : 1;
    if (s.up == 2) s.h = (s.h + 1) / 2, s.w = (s.w + 1) / 2;
    s.act = Act(random.integer(0, 3));
    if (s.act == Act::gelu || s.act == Act::silu) s.act = Act::none;
    s.x = s.y = s.adds_dtype = s.weight = i % 4 == 3 ? DType::bf16 : DType::f16;
    vary_operands(s, random);
    check_spec(s, random, random.integer(1, 6));
  }
  take_schedule(0);
}

TEST_CASE("the wgmma variant is right for the shapes of a dense block", "[simt][conv2d][hopper][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  const DeviceConvSpec specs[] = {
      {.h = 6,
       .w = 20,
       .cin = 160,
       .cout = 32,
       .act = Act::lrelu,
       .x_extra = 32,
       .y_first = 160,
       .y_extra = 160},
      {.h = 5, .w = 33, .cin = 192, .cout = 64, .adds = 2, .scale = 0.04f},
      {.h = 4, .w = 9, .cin = 64, .cout = 64, .up = 2, .act = Act::lrelu},
      {.h = 3, .w = 131, .cin = 64, .cout = 64, .act = Act::prelu},
  };
  for (const DeviceConvSpec& spec : specs) under_each_schedule([&] { check_spec(spec, random, 2); });
}

TEST_CASE("the wgmma variant is chosen on Hopper for shapes it can do, and says why not", "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .cin = 64, .cout = 32}, random);
  const DeviceInfo device = hopper();
  CHECK(std::string(variant_name(c.op, device)) == "wgmma");
  DeviceInfo ampere = device;
  ampere.sm = 80;
  CHECK(std::string(variant_name(c.op, ampere)) == "mma");
  DeviceInfo blackwell = device;
  blackwell.sm = 100;
  CHECK(std::string(variant_name(c.op, blackwell)) == "mma");
  Conv2d<Tensor> narrow = c.op;
  narrow.w.cout = 3;
  CHECK(std::string(variant_name(narrow, device)) == "mma");
  Conv2d<Tensor> shifted = c.op;
  shifted.x.data = static_cast<char*>(shifted.x.data) + 2;
  CHECK(std::string(variant_name(shifted, device)) == "mma");
}
