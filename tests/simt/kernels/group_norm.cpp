// group_norm.cu against double precision.
#include "tests/reference/group_norm.h"

#include "kernels/device/group_sums.cuh"
#include "kernels/device/run.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

double unit(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0x1p-24; }

struct NormSpec {
  int h, w, c, groups, cut;  // rows [0, cut) and [cut, h) are two calls
  DType dtype;
  int extra;  // channels beyond the slice
  Act act;
  int gap = 0;  // pixels at the end of a row that do not belong to the image
};

void check_spec(const NormSpec& s, Random& random) {
  TwinImage x(s.dtype, 1, s.h, s.w + s.gap, s.c, 0, s.extra, &random),
      y(s.dtype, 1, s.h, s.w + s.gap, s.c, 0, s.extra, nullptr);
  for (Tensor* t : {&x.on_device, &x.on_host, &y.on_device}) t->w = s.w;
  Twin<double> stats(size_t(2 * s.groups));
  for (size_t i = 0; i < stats.size(); i++) stats[i] = 3;  // of a run before
  stats.upload();
  Twin<float> gamma{size_t(s.c)}, beta{size_t(s.c)};
  for (int i = 0; i < s.c; i++) gamma[size_t(i)] = random.normal(), beta[size_t(i)] = random.normal();
  gamma.upload(), beta.upload();
  Stream& stream = test_stream();
  GroupStats<Tensor> sums{x.on_device, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * s.groups),
                          s.groups};
  run(sums, stream, {0, s.cut});
  run(sums, stream, {s.cut, s.h});
  GroupNorm<Tensor> norm{x.on_device, sums.y, y.on_device, {}, s.groups, 1e-6f, s.act};
  norm.w.cout = s.c, norm.w.w = gamma.data(), norm.w.bias = beta.data();
  run(norm, stream, {0, s.cut});
  run(norm, stream, {s.cut, s.h});
  stream.synchronize();
  y.download();
  const auto expected = reference::group_norm(x.on_host, gamma.host(), beta.host(), s.groups, 1e-6, s.act);
  // The mean is rounded to float, half a unit of it; a group of few, nearly equal numbers divides that by a
  // small spread.
  std::vector<double> mean_error;
  const int size = s.c / s.groups;
  for (int g = 0; g < s.groups; g++) {
    double mean = 0, variance = 0;
    const double n = double(s.h) * s.w * size;
    const auto each = [&](auto&& f) {
      for (int p = 0; p < s.h * s.w; p++)
        for (int k = 0; k < size; k++) f(double(x.on_host.at(p / s.w, p % s.w)[g * size + k]));
    };
    each([&](double v) { mean += v / n; });
    each([&](double v) { variance += (v - mean) * (v - mean) / n; });
    mean_error.push_back(0x1p-24 * std::abs(mean) / std::sqrt(variance + 1e-6));
  }
  double worst = 0;
  bool clean = true;
  for (int j = 0; j < s.h * (s.w + s.gap); j++)
    for (int k = 0; k < int(y.mirror.px); k++) {
      const double got = load_element(y.mirror, int64_t(j) * y.mirror.px + k);
      if (k >= s.c || j % (s.w + s.gap) >= s.w) {
        clean = clean && std::isnan(got);
        continue;
      }
      const int i = j / (s.w + s.gap) * s.w + j % (s.w + s.gap);
      const double want = expected[size_t(i) * s.c + k];
      // Storage rounds y by half a unit; the sums before it are those of the CPU test, without its mean.
      const double shifted = 1.1 * std::abs(double(gamma[size_t(k)])) * mean_error[size_t(k / size)];
      const double may = unit(s.dtype) * (std::abs(want) + 0.01) + 0x1p-24 * 100 + shifted;
      worst = std::max(worst, std::isnan(got) ? 1e30 : std::abs(got - want) / may);
    }
  INFO("[" << s.h << ", " << s.w << ", " << s.c << "] groups " << s.groups << " " << dtype_name(s.dtype)
           << " cut " << s.cut << " extra " << s.extra);
  CHECK(worst <= 1);
  CHECK(clean);
}

}  // namespace

TEST_CASE("group_norm on the device equals its definition, in strips too", "[simt][group_norm][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < rounds(12, 60); round++) {
    take_schedule(round);
    const int groups = random.integer(1, 8), h = random.integer(1, 9);
    check_spec({h, random.integer(1, 12), groups * random.integer(1, 5), groups, random.integer(0, h),
                DType(round % 3), 3,
                round % 2   ? Act::silu
                : round % 4 ? Act::relu
                            : Act::none},
               random);
  }
  take_schedule(0);
}

TEST_CASE("group_norm of whole vectors equals its definition, by one block and by many",
          "[simt][group_norm][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < rounds(12, 60); round++) {
    take_schedule(round);
    constexpr int kChannels[] = {8, 24, 64, 128, 512};
    const int c = kChannels[round % 5], h = random.integer(1, 24);
    const int groups = c == 24 ? 3 : c == 8 ? 2 : 32;
    check_spec({h, random.integer(1, 20), c, groups, random.integer(0, h), DType(round % 3),
                8 * random.integer(0, 2),
                round % 2   ? Act::silu
                : round % 4 ? Act::relu
                            : Act::none},
               random);
  }
  take_schedule(0);
}

TEST_CASE("group_norm takes shares of unequal size, and rows with gaps", "[simt][group_norm][small]") {
  UPS_RANDOM(random);
  check_spec({23, 19, 512, 32, 7, DType::f16, 0, Act::none}, random);  // 304 pixels by two blocks of 4 lanes
  check_spec({9, 29, 512, 32, 9, DType::f32, 0, Act::none}, random);   // 261 by two
  check_spec({6, 7, 64, 32, 4, DType::f16, 0, Act::silu, 3}, random);
}

TEST_CASE("group_norm of a picture that is large and nearly constant is finite", "[simt][group_norm]") {
  UPS_RANDOM(random);
  // Rounded squares minus the square of the mean may be less than zero, by more than eps.
  TwinImage x(DType::f32, 1, 24, 20, 64, 0, 0, nullptr), y(DType::f32, 1, 24, 20, 64, 0, 0, nullptr);
  for (int k = 0; k < 64; k++) {
    const float v = random.uniform(1e6f, 9e6f);
    for (int i = 0; i < 24 * 20; i++) store_element(x.mirror, i * 64 + k, v);
  }
  x.upload();
  Twin<float> ones(64), zeros(64);
  for (size_t i = 0; i < 64; i++) ones[i] = 1, zeros[i] = 0;
  ones.upload(), zeros.upload();
  Twin<double> stats(2 * 64);
  GroupStats<Tensor> sums{x.on_device, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * 64), 64};
  run(sums, test_stream());
  GroupNorm<Tensor> norm{x.on_device, sums.y, y.on_device, {}, 64, 1e-6f, Act::none};
  norm.w.cout = 64, norm.w.w = ones.data(), norm.w.bias = zeros.data();
  run(norm, test_stream());
  test_stream().synchronize();
  y.download();
  bool finite = true;
  for (int64_t i = 0; i < 24 * 20 * 64; i++) finite = finite && std::isfinite(load_element(y.mirror, i));
  CHECK(finite);
}

TEST_CASE("sums of any number of blocks are added up", "[simt][group_norm][small]") {
  UPS_RANDOM(random);
  for (int count : {1, 127, 128, 129, 700}) {
    const int groups = random.integer(1, 5);
    Twin<GroupSum> partial(size_t(count) * size_t(groups));
    Twin<double> stats(size_t(2 * groups));
    std::vector<double> expected;
    for (int i = 0; i < 2 * groups; i++) expected.push_back(stats[size_t(i)] = random.normal());
    for (size_t i = 0; i < partial.size(); i++) {
      partial[i] = {random.normal(), random.uniform()};
      expected[i % size_t(groups) * 2] += partial[i].sum;
      expected[i % size_t(groups) * 2 + 1] += partial[i].square;
    }
    partial.upload(), stats.upload();
    GroupStats<Tensor> op{{}, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * groups), groups};
    add_up_group_sums(partial.data(), count, op, true, test_stream());
    test_stream().synchronize();
    stats.download();
    for (int i = 0; i < 2 * groups; i++) CHECK(std::abs(stats[size_t(i)] - expected[size_t(i)]) < 1e-10);
  }
}
