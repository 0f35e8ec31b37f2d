// group_norm.cu in the emulator against double precision.
#include "tests/reference/group_norm.h"

#include "tests/simt/kernels/conv_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

Stream& stream() {
  static Stream s(devices().front());
  return s;
}

double unit(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0x1p-24; }

double at(const Tensor& t, int y, int x, int c) { return load_element(t, y * t.row + x * t.px + c); }

}  // namespace

TEST_CASE("group_norm on the device equals its definition, in strips too", "[simt][group_norm]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 12; round++) {
    simt::set_schedule(simt::kSchedules[round % 4]);
    const int groups = random.integer(1, 8), c = groups * random.integer(1, 5), h = random.integer(1, 9),
              w = random.integer(1, 12), cut = random.integer(0, h);
    const DType d = DType(round % 3);
    TwinImage x(d, 1, h, w, c, 1, 3, &random), y(d, 1, h, w, c, 0, 2, nullptr);
    simt::Buffer<double> stats(size_t(2 * groups));
    simt::Buffer<float> gamma{size_t(c)}, beta{size_t(c)};
    for (int i = 0; i < c; i++) gamma[size_t(i)] = random.normal(), beta[size_t(i)] = random.normal();
    const Act act = round % 2 ? Act::silu : Act::none;
    GroupStats<Tensor> sums{x.on_device, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * groups),
                            groups};
    run(sums, stream(), {0, cut});
    run(sums, stream(), {cut, h});
    GroupNorm<Tensor> norm{x.on_device, sums.y, y.on_device, {}, groups, 1e-6f, act};
    norm.w.cout = c, norm.w.w = gamma.data(), norm.w.bias = beta.data();
    run(norm, stream(), {0, cut});
    run(norm, stream(), {cut, h});
    const auto expected = reference::group_norm(x.on_host, gamma.data(), beta.data(), groups, 1e-6, act);
    double worst = 0;
    for (int i = 0; i < h * w; i++)
      for (int k = 0; k < c; k++) {
        const double want = expected[size_t(i) * c + k];
        // Storage rounds y by half a unit; the sums before it are those of the CPU test, without its mean.
        worst = std::max(worst, std::abs(at(y.on_device, i / w, i % w, k) - want) /
                                    (unit(d) * (std::abs(want) + 0.01) + 0x1p-24 * 100));
      }
    INFO("[" << h << ", " << w << ", " << c << "] groups " << groups << " " << dtype_name(d) << " cut "
             << cut);
    CHECK(worst <= 1);
  }
  simt::set_schedule(simt::Schedule::fair);
}
