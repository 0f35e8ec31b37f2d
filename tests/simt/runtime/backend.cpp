// The CUDA backend end to end, in the emulator or on a GPU: whole networks against the CPU backend, which
// other tests hold against PyTorch.
#include <cmath>
#include <cstring>

#include "kernels/error.h"
#include "runtime/backend_cuda.h"
#include "runtime/session.h"
#include "tests/runtime/nets.h"
#include "tests/simt/kernels/hopper_case.h"

using namespace ups;

namespace {

std::vector<float> run(Session& session, Extent lr, const std::vector<float>& x) {
  const Plan& plan = session.prepare(lr);
  std::copy(x.begin(), x.end(), static_cast<float*>(plan.x.data));
  session.run();
  const float* y = static_cast<const float*>(plan.y.data);
  return {y, y + plan.hr.pixels() * plan.y.c};
}

double relative_rms(const std::vector<float>& a, const std::vector<float>& reference) {
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); i++) {
    error += std::pow(double(a[i]) - reference[i], 2);
    size += std::pow(double(reference[i]), 2);
  }
  return std::sqrt(error / size);
}

// 3x3 to a third of the channels, GELU and back, as in HAT, around a residual and beside a 1x1 shortcut.
Network compressing(ups::testing::Random& random) {
  auto w = std::make_shared<StateDict>();
  ups::testing::add_conv(*w, random, "first", 180, 3);
  ups::testing::add_conv(*w, random, "narrow", 60, 180);
  ups::testing::add_conv(*w, random, "wide", 180, 60);
  ups::testing::add_conv(*w, random, "beside", 180, 180, 1);
  ups::testing::add_conv(*w, random, "last", 3, 180);
  Network n;
  n.info.family = "compressing";
  n.weights = w;
  n.build = [](Graph& g, Value lr) {
    const Value x = g.conv2d(lr, Scope("first"));
    const Value narrow = g.conv2d(x, Scope("narrow"), {.act = Act::gelu});
    const Value y = g.conv2d(narrow, Scope("wide"),
                             {.add = plus(x, 0.5f), .shortcut = x, .shortcut_weights = Scope("beside")});
    return g.conv2d(y, Scope("last"));
  };
  return n;
}

}  // namespace

TEST_CASE("whole networks on the CUDA backend equal the CPU's", "[simt][backend][small]") {
  UPS_RANDOM(random);
  const Network n = ups::testing::tiny_rrdb(random, random.integer(0, 1) ? 16 : 20, 8, 1);
  const Extent lr{random.integer(5, 12), random.integer(5, 12)};
  const auto x = random.normals(size_t(lr.pixels()) * 3);
  Pool pool(1);
  Session cpu(n, make_cpu_backend(pool));
  const auto expected = run(cpu, lr, x);
  // Each operator rounds its output once (u) and its sums of up to K terms in fp32 (2^-24 sqrt(K), also on
  // the CPU); errors of independent operators add in squares. Times 4, because activations do not keep the
  // norm.
  const double ops = double(make_plan(
                                *[&] {
                                  auto g = std::make_unique<Graph>(n.weights);
                                  g->output(n.build(*g, g->input(3)));
                                  return g;
                                }(),
                                lr)
                                .steps.size());
  struct Case {
    Precision precision;
    double unit;
  };
  for (const Case& c : {Case{Precision::fp32, 0x1p-24}, Case{Precision::fp16, 0x1p-11},
                        Case{Precision::bf16, 0x1p-8}, Case{Precision::automatic, 0x1p-11}}) {
    Session gpu(n, make_cuda_backend(ups::testing::test_device(), c.precision));
    const auto y = run(gpu, lr, x);
    REQUIRE(y.size() == expected.size());
    const double error = relative_rms(y, expected);
    INFO("precision " << int(c.precision) << ", relative rms " << error);
    const double terms = 9 * (16 + 2 * 8), sums = 0x1p-24 * std::sqrt(terms);
    CHECK(error < 4 * std::sqrt(ops) * std::hypot(c.unit, sums));
    CHECK(error > 0);  // not the CPU by mistake
    CHECK(run(gpu, lr, x) == y);
  }
}

TEST_CASE("on Hopper convolutions of 180 and 60 channels run on wgmma-wide",
          "[simt][backend][hopper][wide]") {
  if (!ups::testing::runs_on_hopper()) return;
  UPS_RANDOM(random);
  const Network n = compressing(random);
  const Extent lr{random.integer(3, 7), random.integer(60, 75)};
  const auto x = random.normals(size_t(lr.pixels()) * 3);
  Pool pool(1);
  Session cpu(n, make_cpu_backend(pool));
  const auto expected = run(cpu, lr, x);
  for (Precision precision : {Precision::fp16, Precision::bf16}) {
    Session gpu(n, make_cuda_backend(ups::testing::hopper(), precision));
    const std::string steps = gpu.backend().explain(gpu.prepare(lr));
    CHECK(steps.find("180->60 k3 up1 wgmma-wide") != std::string::npos);
    CHECK(steps.find("60->180 k3 up1 wgmma-wide") != std::string::npos);
    CHECK(steps.find(" k1 ") == std::string::npos);  // the shortcut is further channels
    // As above: four convolutions round weights and outputs once each.
    const double unit = precision == Precision::fp16 ? 0x1p-11 : 0x1p-8;
    CHECK(relative_rms(run(gpu, lr, x), expected) < 4 * std::sqrt(8.0) * unit);
  }
}

TEST_CASE("on Hopper the tail of ESRGAN runs on the variants that UPSCALE_VARIANT names",
          "[simt][backend][hopper][unproven]") {
  if (!ups::testing::runs_on_hopper()) return;
  UPS_RANDOM(random);
  const Network n = ups::testing::tiny_rrdb(random, 64, 32, 1);
  const Extent lr{random.integer(2, 4), random.integer(15, 20)};
  const auto x = random.normals(size_t(lr.pixels()) * 3);
  Pool pool(1);
  Session cpu(n, make_cpu_backend(pool));
  const auto expected = run(cpu, lr, x);
  for (const char* kernel : {"64->64 k3 up2 wgmma-phases", "64->3 k3 up1 wgmma-narrow"}) {
    const std::string name = std::strrchr(kernel, ' ') + 1;
    setenv("UPSCALE_VARIANT", ("conv2d~" + name).c_str(), 1);
    Session gpu(n, make_cuda_backend(ups::testing::hopper(), Precision::fp16));
    CHECK_THAT(gpu.backend().explain(gpu.prepare(lr)), Catch::Contains(kernel));
    // As above: 14 convolutions round weights and outputs once each, one of them weights once more.
    CHECK(relative_rms(run(gpu, lr, x), expected) < 4 * std::sqrt(29.0) * 0x1p-11);
    unsetenv("UPSCALE_VARIANT");
  }
}

TEST_CASE("a tile that overflows in fp16 is computed again in bf16", "[simt][backend]") {
  UPS_RANDOM(random);
  Network n = ups::testing::one_conv(random, 3, 3, 2);
  const Extent lr{6, 7};
  auto x = random.normals(size_t(lr.pixels()) * 3);
  for (float& v : x) v *= 1e6f;  // beyond the largest half, 65504
  Pool pool(1);
  Session cpu(n, make_cpu_backend(pool));
  const auto expected = run(cpu, lr, x);
  for (Precision precision : {Precision::automatic, Precision::fp16}) {
    Session safe(n, make_cuda_backend(ups::testing::test_device(), precision));
    // Input, weights and output are rounded by at most 2^-9 each.
    CHECK(relative_rms(run(safe, lr, x), expected) < 2 * 0x1p-9);
  }
}

TEST_CASE("an input that is not finite comes out as it does in fp32", "[simt][backend]") {
  UPS_RANDOM(random);
  Session half(ups::testing::one_conv(random, 3, 3, 1),
               make_cuda_backend(ups::testing::test_device(), Precision::automatic));
  auto x = random.normals(5 * 5 * 3);
  x[0] = NAN;
  const auto y = run(half, {5, 5}, x);
  CHECK(std::isnan(y[0]));
  CHECK(std::isfinite(y.back()));
}

TEST_CASE("explain names the kernel variants of the device", "[simt][backend]") {
  UPS_RANDOM(random);
  Session gpu(ups::testing::tiny_rrdb(random, 16, 8, 1),
              make_cuda_backend(ups::testing::test_device(), Precision::automatic));
  const std::string text = gpu.backend().explain(gpu.prepare({16, 16}));
  CHECK_THAT(text, Catch::Contains("conv2d 16->8 k3"));
  CHECK(gpu.backend().describe() == ups::testing::test_device().name + ", fp16");
}
