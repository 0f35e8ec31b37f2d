// conv2d_mma.cu beyond plain convolutions: stride 2, a shortcut, statistics.
#include <algorithm>
#include <cstdlib>

#include "kernels/device/epilogue.cuh"
#include "tests/simt/kernels/conv_sums.h"
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

DeviceInfo ampere(int smem_kb = 99) {
  DeviceInfo d = test_device();
  if (!kOnGpu) d.sm = 86, d.smem_bytes = smem_kb << 10;
  return d;
}

// groups > 0: with the statistics, by whatever the device takes, which is the mma variant.
void check_spec(const DeviceConvSpec& spec, Random& random, int groups = 0) {
  Stream stream(ampere());
  DeviceConvCase c(spec, random);
  c.drop_unneeded_rows();
  c.y.memory->poison();
  INFO(c.describe() << ", " << groups << " groups");
  const Conv2dVariant& mma = conv2d_variant("mma");
  const char* why = mma.declines(c.op, stream.device());
  REQUIRE(std::string(why ? why : "") == "");
  if (groups) {
    setenv("UPSCALE_VARIANT", "conv2d=mma", 1);
    check_with_sums(c, groups, stream);
    unsetenv("UPSCALE_VARIANT");
    return;
  }
  mma.launch(c.op, stream, {spec.row_begin, std::min(spec.row_end, c.op.y.h), spec.upward});
  stream.synchronize();
  CHECK(c.verdict() == "");
}

void set_type(DeviceConvSpec& s, int i) {
  s.x = s.y = s.adds_dtype = s.weight = i % 2 ? DType::bf16 : DType::f16;
}

}  // namespace

TEST_CASE("the mma variant takes stride 2 with zeros on all sides or at the end",
          "[simt][conv2d][stride][small]") {
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(16, 120); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.stride = 2, s.pad_end = i / 2 % 2;
    s.h = random.integer(1, 40), s.w = random.integer(1, 70);
    s.cin = i % 5 == 4 ? random.integer(1, 20) : 16 * random.integer(1, 3);
    s.cout = i % 3 == 2 ? random.integer(1, 70) : 32 * random.integer(1, 3);
    set_type(s, i);
    vary_operands(s, random);
    check_spec(s, random);
  }
  take_schedule(0);
  under_each_schedule(
      [&] { check_spec({.h = 18, .w = 35, .cin = 48, .cout = 64, .stride = 2, .pad_end = true}, random); });
}

TEST_CASE("the mma variant sums a shortcut in place", "[simt][conv2d][shortcut][small]") {
  UPS_RANDOM(random);
  for (int i = 0; i < rounds(12, 100); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.h = random.integer(1, 18), s.w = random.integer(1, 40);
    // Even and odd numbers of steps of both: the stages go on alternating.
    s.cin = i % 5 == 4 ? random.integer(1, 40) : 16 * random.integer(1, 4);
    s.shortcut = i % 5 == 3 ? random.integer(1, 40) : 16 * random.integer(1, 5);
    s.cout = i % 3 == 2 ? random.integer(1, 70) : 32 * random.integer(1, 3);
    set_type(s, i);
    vary_operands(s, random);
    if (random.integer(0, 1)) s.shortcut_first = 8, s.shortcut_extra = 16;
    if (i == 7) s.shortcut_first = 1, s.shortcut_extra = 3;
    check_spec(s, random);
  }
  take_schedule(0);
  under_each_schedule([&] { check_spec({.h = 5, .w = 35, .cin = 16, .cout = 64, .shortcut = 48}, random); });
}

TEST_CASE("the mma variant leaves the sums of the groups it stores", "[simt][conv2d][statistics][small]") {
  UPS_RANDOM(random);
  constexpr int kSizes[] = {4, 8, 16, 64, 32};
  for (int i = 0; i < rounds(10, 60); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    if (i % 5 == 4)
      s.k = 1;
    else if (i % 5 == 3)
      s.stride = 2, s.pad_end = true;
    else if (i % 5 == 2)
      s.shortcut = 24;
    s.h = random.integer(1, 36), s.w = random.integer(1, 70);
    s.cin = 16, s.cout = i % 2 ? 64 : 128;
    if (i == 6) s.cout = 96;
    set_type(s, i);
    vary_operands(s, random);
    if (i == 6) s.h = 20, s.w = 40, s.row_begin = 0, s.row_end = 1 << 30;  // tiles beside the last channels
    const int size = i == 6 ? 16 : kSizes[random.integer(0, 4)];
    check_spec(s, random, s.cout / size);
  }
  take_schedule(0);
  under_each_schedule([&] { check_spec({.h = 18, .w = 35, .cin = 16, .cout = 64}, random, 16); });
}

TEST_CASE("conv2d joins a shortcut where the same kernel runs both", "[simt][conv2d][shortcut]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .cin = 64, .cout = 128, .shortcut = 32}, random),
      f32({.h = 3, .w = 3, .x = DType::f32, .y = DType::f32, .weight = DType::f32, .shortcut = 32}, random);
  DeviceInfo device = ampere();
  device.sm = 86, device.smem_bytes = 99 << 10;
  CHECK(runs_whole(c.op, device));
  CHECK_FALSE(runs_whole(f32.op, device));  // f32 alone, naive with the shortcut
  device.sm = 75;
  CHECK(runs_whole(c.op, device));  // naive either way
}

TEST_CASE("statistics are left where whole groups lie in a block and vectors are stored",
          "[simt][conv2d][statistics]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .cin = 16, .cout = 128}, random);
  DeviceInfo device = ampere();
  device.sm = 86, device.smem_bytes = 99 << 10;
  const auto made = [&](const Conv2d<Tensor>& op, int groups) {
    return makes_statistics(op, {op.y, dense_f32(nullptr, 1, 1, 4 * groups), groups}, device);
  };
  CHECK(made(c.op, 32));
  CHECK(made(c.op, 2));
  CHECK_FALSE(made(c.op, 64));  // 2 channels
  CHECK_FALSE(made(c.op, 1));   // 128 channels
  Tensor wider = c.op.y;        // of another image
  wider.px += 8;
  CHECK_FALSE(makes_statistics(c.op, {wider, dense_f32(nullptr, 1, 1, 128), 32}, device));
  Conv2d<Tensor> odd = c.op;
  odd.y.data = static_cast<char*>(odd.y.data) + 2;
  CHECK_FALSE(made(odd, 32));
  Conv2d<Tensor> last = c.op;
  last.act_last = true;
  CHECK_FALSE(made(last, 32));
  // The last four channels would be stored one by one, and not counted.
  DeviceConvCase tail({.h = 3, .w = 3, .cin = 16, .cout = 36, .whole_vectors = true}, random);
  CHECK(vector_epilogue(tail.op, DType::f16));
  CHECK_FALSE(made(tail.op, 9));
}
