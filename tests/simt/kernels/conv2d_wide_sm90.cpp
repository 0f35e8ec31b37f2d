// conv2d_wide_sm90.cu: in the emulator as a device with sm_90 would run it, or on one.
#include <algorithm>

#include "tests/simt/kernels/conv_sums.h"
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

const Conv2dVariant& wide() { return conv2d_variant("wgmma-wide"); }

// Often a shortcut beside x, of channels that fill no block.
void vary_shortcut(DeviceConvSpec& s, Random& random) {
  s.whole_vectors = true;
  if (random.integer(0, 1)) return;
  s.shortcut = random.integer(1, 140);
  s.shortcut_first = random.integer(0, 1) * 8, s.shortcut_extra = s.shortcut_first + 8;
}

// groups > 0: also the statistics, against those of what was stored.
void check_spec(const DeviceConvSpec& spec, Random& random, int sms, int groups = 0) {
  Stream stream(hopper(sms));
  DeviceConvCase c(spec, random);
  c.drop_unneeded_rows();
  c.y.memory->poison();
  INFO(c.describe() << " on " << sms << " SMs, " << groups << " groups");
  REQUIRE(wide().declines(c.op, stream.device()) == nullptr);
  const Rows rows{spec.row_begin, std::min(spec.row_end, c.op.y.h), spec.upward};
  if (!groups) {
    wide().launch(c.op, stream, rows);
    stream.synchronize();
    CHECK(c.verdict() == "");
    return;
  }
  check_with_sums(c, groups, stream);
}

}  // namespace

TEST_CASE("the wide wgmma variant equals the double reference on random shapes",
          "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(8, 100); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.k = i % 4 == 3 ? 1 : 3;
    s.h = random.integer(1, 9), s.w = random.integer(1, 140);
    s.cin = 64 * random.integer(1, 3), s.cout = 128 * random.integer(1, 2);
    s.up = random.integer(0, 2) == 0 ? 2 : 1;
    if (s.up == 2) s.h = (s.h + 1) / 2, s.w = (s.w + 1) / 2;
    constexpr Act kActs[] = {Act::none, Act::relu, Act::lrelu};
    s.act = kActs[random.integer(0, 2)];
    s.x = s.y = s.adds_dtype = s.weight = i % 2 ? DType::bf16 : DType::f16;
    vary_operands(s, random);
    vary_shortcut(s, random);
    check_spec(s, random, random.integer(1, 5));
  }
  take_schedule(0);
}

TEST_CASE("the wide wgmma variant takes channels that fill no block", "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  // To 180, 60 and 45: SwinIR and HAT; 144: HAT-S; then whatever.
  const int inputs[] = {60, 180, 45, 144, 60}, outputs[] = {180, 60, 180, 144, 45};
  for (int i = 0; i < rounds(8, 100); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.k = i == 4 ? 1 : 3;
    s.h = random.integer(1, 7), s.w = random.integer(1, 90);
    s.cin = i < 5 ? inputs[i] : random.integer(32, 200),
    s.cout = i < 5 ? outputs[i] : random.integer(33, 200);
    if (s.cin % 32 == 0 && s.cout % 32 == 0) s.cin--;  // wgmma's
    constexpr Act kActs[] = {Act::none, Act::relu, Act::lrelu, Act::gelu};
    s.act = kActs[i == 1 ? 3 : random.integer(0, s.k == 1 ? 2 : 3)];
    s.x = s.y = s.adds_dtype = s.weight = i % 2 ? DType::bf16 : DType::f16;
    vary_operands(s, random);
    vary_shortcut(s, random);
    check_spec(s, random, random.integer(1, 5));
  }
  take_schedule(0);
}

TEST_CASE("the wide wgmma variant halves pictures", "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(6, 60); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.stride = 2, s.pad_end = i % 3 != 2;
    s.h = random.integer(1, 19), s.w = random.integer(1, 150);
    s.cin = i ? 64 * random.integer(1, 2) : 72, s.cout = i ? 128 : 200;
    s.act = i % 2 ? Act::lrelu : Act::none;
    s.x = s.y = s.adds_dtype = s.weight = i % 2 ? DType::f16 : DType::bf16;
    vary_operands(s, random);
    vary_shortcut(s, random);
    check_spec(s, random, random.integer(1, 5), i >= 4 ? 32 : 0);
  }
  take_schedule(0);
}

TEST_CASE("the wide wgmma variant leaves the sums of the groups it stores",
          "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(5, 40); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.k = i == 3 ? 1 : 3, s.h = random.integer(1, 14), s.w = random.integer(1, 70);
    s.cin = 64, s.cout = i % 2 ? 256 : 128;
    s.x = s.y = s.adds_dtype = s.weight = i % 2 ? DType::bf16 : DType::f16;
    s.adds = i % 2;
    if (i == 2) s.row_begin = s.h / 2;
    check_spec(s, random, random.integer(1, 4), i % 2 ? 16 : 32);
  }
  take_schedule(0);
}

TEST_CASE("a warpgroup of the wide wgmma variant that is a tile ahead keeps off sums still read",
          "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  // One step a tile, all loaded in advance: nothing but the sums holds the faster warpgroup back.
  with_one_far_ahead([&] { check_spec({.h = 11, .w = 70, .cin = 64, .cout = 128, .k = 1}, random, 1, 32); });
}

TEST_CASE("the wide wgmma variant is right under every schedule", "[simt][conv2d][hopper][wide][small]") {
  if (!runs_on_hopper()) return;
  UPS_RANDOM(random);
  // More taps than the ring has stages, more tiles than blocks.
  under_each_schedule([&] { check_spec({.h = 5, .w = 70, .cin = 128, .cout = 128}, random, 2); });
}

TEST_CASE("the wide wgmma variant is chosen on Hopper for wide layers only", "[simt][conv2d][wide]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .cin = 128, .cout = 128}, random),
      narrow({.h = 3, .w = 3, .cin = 64, .cout = 64}, random);
  CHECK(std::string(variant_name(c.op, hopper(132))) == "wgmma-wide");
  CHECK(std::string(variant_name(narrow.op, hopper(132))) == "wgmma");
  CHECK(std::string(variant_name(c.op, test_device())) == (test_device().sm == 90 ? "wgmma-wide" : "mma"));
  DeviceConvCase swin({.h = 3, .w = 3, .cin = 180, .cout = 60, .act = Act::gelu, .whole_vectors = true},
                      random),
      dense({.h = 3, .w = 3, .cin = 180, .cout = 180}, random),
      measured({.h = 3, .w = 3, .cin = 64, .cout = 96}, random),
      last({.h = 3, .w = 3, .cin = 180, .cout = 3, .whole_vectors = true}, random),
      half({.h = 4, .w = 4, .cin = 128, .cout = 128, .stride = 2, .pad_end = true}, random);
  CHECK(std::string(variant_name(swin.op, hopper(132))) == "wgmma-wide");
  CHECK(std::string(variant_name(dense.op, hopper(132))) == "mma");  // pixels of 360 bytes
  CHECK(std::string(variant_name(measured.op, hopper(132))) == "wgmma");
  CHECK(std::string(variant_name(last.op, hopper(132))) == "mma");
  CHECK(std::string(variant_name(half.op, hopper(132))) == "wgmma-wide");
  Tensor sums = dense_f32(nullptr, 1, 1, 128);
  CHECK(makes_statistics(c.op, {c.op.y, sums, 32}, hopper(132)));
  CHECK_FALSE(makes_statistics(c.op, {c.op.x, sums, 32}, hopper(132)));
  CHECK_FALSE(makes_statistics(narrow.op, {narrow.op.y, sums, 32}, hopper(132)));
}
