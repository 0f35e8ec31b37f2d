// A convolution that leaves the statistics of what it stores, against those of what is there.
#pragma once

#include "tests/simt/kernels/conv_case.h"

namespace ups::testing {

// Runs c with the statistics of so many groups and checks both; c.y is to be poisoned before.
inline void check_with_sums(DeviceConvCase& c, int groups, cuda::Stream& stream) {
  const DeviceConvSpec& spec = c.spec;
  const cuda::Rows rows{spec.row_begin, std::min(spec.row_end, c.op.y.h), spec.upward};
  Twin<double> stats(size_t(2 * groups));
  std::vector<double> expected(size_t(2 * groups), spec.row_begin > 0 ? 3.0 : 0.0);
  for (size_t i = 0; i < stats.size(); i++) stats[i] = 3;
  stats.upload();
  const GroupStats<Tensor> sums{c.op.y, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * groups),
                                groups};
  REQUIRE(cuda::makes_statistics(c.op, sums, stream.device()));
  cuda::run(c.op, sums, stream, {spec.row_begin, spec.row_end, spec.upward});  // may be beyond the last
  stream.synchronize();
  CHECK(c.verdict() == "");
  stats.download();
  const Tensor& y = c.y.mirror;
  std::vector<double> magnitude(size_t(2 * groups), 1e-30);
  for (int row = rows.begin; row < rows.end; row++)
    for (int x = 0; x < y.w; x++)
      for (int ch = 0; ch < y.c; ch++) {
        const double v = cuda::load_element(y, row * y.row + x * y.px + ch);
        const size_t g = size_t(ch / (y.c / groups)) * 2;
        expected[g] += v, expected[g + 1] += v * v;
        magnitude[g] += std::abs(v), magnitude[g + 1] += v * v;
      }
  // A tile's sums are f32: at most 64 values per thread and 5 + 8 additions after that.
  for (size_t i = 0; i < stats.size(); i++)
    CHECK(std::abs(stats[i] - expected[i]) <= 0x1p-24 * 80 * magnitude[i] + 1e-12);
}

}  // namespace ups::testing
