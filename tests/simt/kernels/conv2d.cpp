// conv2d*.cu: every variant on random shapes against the double reference; in the emulator under all
// schedules.
#include <cstdlib>

#include "tests/simt/kernels/conv_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

Stream& stream() { return test_stream(); }

int summed_in_f16 = 0;  // how often that variant ran

// Runs the spec by every variant that accepts it; returns how many did.
int check_all_variants(const DeviceConvSpec& spec, Random& random, int variants_wanted = 0) {
  int ran = 0;
  DeviceConvCase c(spec, random);
  c.drop_unneeded_rows();
  const int rows = c.op.y.h / spec.shuffle;
  for (const Conv2dVariant& v : conv2d_variants()) {
    if (v.declines(c.op, stream().device())) continue;
    ran++;
    c.y.memory->poison();
    INFO(c.describe() << " variant " << v.name);
    v.launch(c.op, stream(), {spec.row_begin, std::min(spec.row_end, rows), spec.upward});
    c.computed_by(v);
    if (c.summed_in_f16) summed_in_f16++;
    const std::string verdict = c.verdict();
    CHECK(verdict == "");
  }
  CHECK(ran >= variants_wanted);
  return ran;
}

DeviceConvSpec random_spec(Random& r, bool small) {
  DeviceConvSpec s;
  s.n = r.integer(0, 5) == 0 ? 2 : 1;
  s.h = r.integer(1, small ? 9 : 36), s.w = r.integer(1, small ? 9 : 70);
  const int channels[] = {1, 3, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96};
  s.cin = channels[r.integer(0, small ? 7 : 12)];
  s.cout = channels[r.integer(0, small ? 7 : 12)];
  const int kernel_sizes[] = {1, 3, 3, 3, 5};
  s.k = kernel_sizes[r.integer(0, 4)];
  s.stride = r.integer(0, 9) == 0 ? 2 : 1;
  s.up = r.integer(0, 3) == 0 ? r.integer(2, 3) : 1;
  if (s.cout % 4 == 0 && r.integer(0, 3) == 0) s.shuffle = 2;
  s.act = Act(r.integer(0, 5)), s.act_last = r.integer(0, 4) == 0, s.pad_end = r.integer(0, 6) == 0;
  const DType storage = r.integer(0, 3) == 0 ? (r.integer(0, 1) ? DType::bf16 : DType::f32) : DType::f16;
  s.x = s.y = s.adds_dtype = s.weight = storage;
  s.tf32 = storage == DType::f32 && r.integer(0, 3) > 0;
  s.f16_sums = storage == DType::f16 && r.integer(0, 3) == 0;
  if (r.integer(0, 5) == 0) s.y = DType::f32;
  if (r.integer(0, 9) == 0) s.adds_dtype = DType::f32;
  s.adds = r.integer(0, 2);
  if (s.adds && s.shuffle == 2 && r.integer(0, 1)) s.add_group = 4;
  if (r.integer(0, 2) == 0) s.x_first = r.integer(0, 2) * 8, s.x_extra = s.x_first + r.integer(0, 2) * 8;
  if (r.integer(0, 5) == 0) s.x_first = r.integer(0, 3), s.x_extra = s.x_first + r.integer(0, 3);
  if (r.integer(0, 2) == 0) s.y_first = r.integer(0, 2) * 8, s.y_extra = s.y_first + r.integer(0, 2) * 8;
  if (r.integer(0, 5) == 0) s.y_first = r.integer(0, 3), s.y_extra = s.y_first + r.integer(0, 3);
  s.bias = r.integer(0, 4) > 0;
  s.scale = r.integer(0, 1) ? 0.2f : 1.0f;
  s.upward = r.integer(0, 1);
  if (r.integer(0, 5) == 0 && !s.tf32) {
    s.shortcut = channels[r.integer(0, small ? 7 : 12)];
    if (r.integer(0, 2) == 0) s.shortcut_first = 8, s.shortcut_extra = 8 * r.integer(1, 2);
    if (r.integer(0, 5) == 0) s.shortcut_first = 1, s.shortcut_extra = r.integer(1, 3);
  }
  const int rows = DeviceConvCase::out(s.h, s);
  if (r.integer(0, 3) == 0)
    s.row_begin = r.integer(0, rows - 1), s.row_end = r.integer(s.row_begin + 1, rows);
  return s;
}

}  // namespace

TEST_CASE("every conv2d variant equals the double reference on random shapes", "[simt][conv2d][small]") {
  UPS_RANDOM(random);
  int mma = 0;
  const int count = rounds(150, 400);
  for (int i = 0; i < count; i++) {
    take_schedule(i);
    mma += check_all_variants(random_spec(random, true), random) > 1;
  }
  take_schedule(0);
  CHECK(mma >= count / 5);
  DeviceConvSpec sums;  // rare among the random ones
  sums.h = 5, sums.w = 7, sums.cin = sums.cout = 48, sums.k = 3;
  sums.x = sums.y = sums.adds_dtype = sums.weight = DType::f16;
  sums.f16_sums = true;
  check_all_variants(sums, random);
  CHECK(summed_in_f16 > 0);
}

TEST_CASE("every conv2d variant equals the double reference on shapes of several tiles", "[simt][conv2d]") {
  UPS_RANDOM(random);
  int mma = 0;
  const int count = rounds(40, 150);
  for (int i = 0; i < count; i++) {
    take_schedule(i);
    mma += check_all_variants(random_spec(random, false), random) > 1;
  }
  take_schedule(0);
  CHECK(mma >= count / 4);
}

TEST_CASE("the tensor core variant is right for the shapes of the released models", "[simt][conv2d][small]") {
  UPS_RANDOM(random);
  const int dense = 8;  // the slice behind what is read
  const DeviceConvSpec specs[] = {
      {.h = 5, .w = 7, .cin = 3, .cout = 64},  // conv_first
      {.h = 18,
       .w = 35,
       .cin = 96,
       .cout = 32,
       .act = Act::lrelu,
       .x_extra = 96,
       .y_first = 96,
       .y_extra = 160},
      {.h = 7, .w = 33, .cin = 192, .cout = 64, .adds = 2, .scale = 0.04f},               // conv5
      {.h = 5, .w = 9, .cin = 64, .cout = 64, .up = 2, .act = Act::lrelu},                // conv_up1
      {.h = 17, .w = 6, .cin = 64, .cout = 3, .y = DType::f32},                           // conv_last
      {.h = 6, .w = 9, .cin = 64, .cout = 48, .shuffle = 4, .adds = 1, .add_group = 16},  // Compact's end
      {.h = 6, .w = 9, .cin = 64, .cout = 64, .act = Act::prelu},
      {.h = 6, .w = 9, .cin = 64, .cout = 24, .k = 1, .x_extra = dense},
      {.h = 4, .w = 5, .cin = 16, .cout = 130, .x = DType::bf16, .y = DType::bf16, .weight = DType::bf16},
      {.h = 18,
       .w = 35,
       .cin = 96,
       .cout = 32,
       .act = Act::lrelu,
       .x = DType::f32,
       .y = DType::f32,
       .weight = DType::f32,
       .x_extra = 96,
       .tf32 = true},
  };
  for (const DeviceConvSpec& spec : specs) under_each_schedule([&] { check_all_variants(spec, random, 2); });
}

TEST_CASE("tf32 takes the nearest value and only where it is allowed", "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 2,
                    .w = 2,
                    .cin = 1,
                    .cout = 1,
                    .k = 1,
                    .x = DType::f32,
                    .y = DType::f32,
                    .weight = DType::f32,
                    .bias = false,
                    .tf32 = true},
                   random);
  const float in[] = {1 + 0x1p-11f + 0x1p-20f, 1 + 0x1p-11f - 0x1p-20f, -1 - 0x1.8p-11f, 3},
              rounded[] = {1 + 0x1p-10f, 1, -1 - 0x1p-10f, 3};
  std::memcpy(c.x.memory->host(), in, sizeof in);
  c.x.upload();
  std::memset(c.packed.host(), 0, c.packed.size());
  const float one = 1;
  std::memcpy(c.packed.host(), &one, 4);
  c.packed.upload();
  const auto result = [&] {
    run(c.op, stream());
    c.y.download();
    std::vector<float> y(4);
    std::memcpy(y.data(), c.y.memory->host(), sizeof rounded);
    return y;
  };
  CHECK(std::string(variant_name(c.op, stream().device())) == "tf32");
  CHECK(result() == std::vector<float>(rounded, rounded + 4));
  c.op.w.tf32 = false;
  CHECK(std::string(variant_name(c.op, stream().device())) == "f32");
  CHECK(result() == std::vector<float>(in, in + 4));
}

TEST_CASE("conv2d chooses by operator and device, and says why not", "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3}, random);
  DeviceInfo ampere = test_device();
  ampere.sm = 80, ampere.smem_bytes = 163 << 10;
  DeviceInfo device = ampere;
  CHECK(std::string(variant_name(c.op, device)) == "mma");
  device.sm = 75;
  CHECK(std::string(variant_name(c.op, device)) == "naive");
  device.sm = 86, device.smem_bytes = 99 << 10;
  CHECK(std::string(variant_name(c.op, device)) == "mma");
  device.smem_bytes = 48 << 10;
  CHECK(std::string(variant_name(c.op, device)) == "naive");
  device = ampere;
  Conv2d<Tensor> strided = c.op;
  strided.stride = 2;
  CHECK(std::string(variant_name(strided, device)) == "mma");
  strided.stride = 3;
  CHECK(std::string(variant_name(strided, device)) == "naive");
  Conv2d<Tensor> wide = c.op;
  wide.x.dtype = DType::f32;
  CHECK(std::string(variant_name(wide, device)) == "naive");
  Conv2d<Tensor> odd = c.op;
  odd.w.w = static_cast<const char*>(odd.w.w) + 2;
  CHECK(std::string(variant_name(odd, device)) == "naive");
  Conv2d<Tensor> far = c.op;
  far.x.row = 1 << 26;  // 18 of them are more than an int counts
  CHECK(std::string(variant_name(far, device)) == "naive");

  setenv("UPSCALE_VARIANT", "gemm=x,conv2d=naive", 1);
  CHECK(std::string(variant_name(c.op, device)) == "naive");
  setenv("UPSCALE_VARIANT", "conv2d=mma", 1);
  CHECK_THROWS_WITH(variant_name(strided, device),
                    Catch::Contains("mma") && Catch::Contains("needs stride 1, or 2 with k 3"));
  setenv("UPSCALE_VARIANT", "conv2d=fast", 1);
  CHECK_THROWS_WITH(variant_name(c.op, device), Catch::Contains("f32, naive"));
  unsetenv("UPSCALE_VARIANT");
}

TEST_CASE("conv2d refuses operands that do not belong together", "[simt][conv2d]") {
  UPS_RANDOM(random);
  DeviceConvCase c({.h = 3, .w = 3, .adds = 1}, random);
  auto refused = [&](auto change) {
    Conv2d<Tensor> op = c.op;
    change(op);
    CHECK_THROWS_AS(run(op, stream()), Error);
  };
  refused([](auto& op) { op.x.c--; });
  refused([](auto& op) { op.y.h++; });
  refused([](auto& op) { op.w.k = 2; });
  refused([](auto& op) { op.add.t.w++; });
  refused([](auto& op) { op.add.t.c--; });
  refused([](auto& op) { op.act = Act::prelu; });
  refused([](auto& op) { op.w.w = nullptr; });
  refused([](auto& op) { op.shortcut.w = op.w; });
  run(c.op, stream());
  CHECK(c.verdict() == "");
  // Rows are counted before the shuffle, and end where the picture does.
  DeviceConvCase shuffled({.h = 3, .w = 3, .cout = 16, .shuffle = 2, .row_begin = 1}, random);
  run(shuffled.op, stream(), {1});
  CHECK(shuffled.verdict() == "");
}
