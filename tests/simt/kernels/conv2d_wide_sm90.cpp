// conv2d_wide_sm90.cu: in the emulator as a device with sm_90 would run it, or on one.
#include <algorithm>

#include "tests/simt/kernels/hopper_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

const Conv2dVariant& wide() { return conv2d_variant("wgmma-wide"); }

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
  Twin<double> stats(size_t(2 * groups));
  std::vector<double> expected(size_t(2 * groups), spec.row_begin > 0 ? 3.0 : 0.0);
  for (size_t i = 0; i < stats.size(); i++) stats[i] = 3;
  stats.upload();
  const GroupStats<Tensor> sums{c.op.y, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * groups),
                                groups};
  REQUIRE(makes_statistics(c.op, sums, stream.device()));
  run(c.op, sums, stream, rows);
  stream.synchronize();
  CHECK(c.verdict() == "");
  stats.download();
  const Tensor& y = c.y.mirror;
  std::vector<double> magnitude(size_t(2 * groups), 1e-30);
  for (int row = rows.begin; row < rows.end; row++)
    for (int x = 0; x < y.w; x++)
      for (int ch = 0; ch < y.c; ch++) {
        const double v = load_element(y, row * y.row + x * y.px + ch);
        const size_t g = size_t(ch / (y.c / groups)) * 2;
        expected[g] += v, expected[g + 1] += v * v;
        magnitude[g] += std::abs(v), magnitude[g + 1] += v * v;
      }
  // A tile's sums are f32: at most 64 values per thread and 5 + 8 additions after that.
  for (size_t i = 0; i < stats.size(); i++)
    CHECK(std::abs(stats[i] - expected[i]) <= 0x1p-24 * 80 * magnitude[i] + 1e-12);
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
    check_spec(s, random, random.integer(1, 5));
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
  Tensor sums = dense_f32(nullptr, 1, 1, 128);
  CHECK(makes_statistics(c.op, {c.op.y, sums, 32}, hopper(132)));
  CHECK_FALSE(makes_statistics(c.op, {c.op.x, sums, 32}, hopper(132)));
  CHECK_FALSE(makes_statistics(narrow.op, {narrow.op.y, sums, 32}, hopper(132)));
}
