// GroupStats and GroupNorm against double precision: any strips and threads, the same bits.
#include "tests/reference/group_norm.h"

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "tests/testing.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("group_norm equals its definition, whatever strips and threads", "[kernels][group_norm]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    for (int round = 0; round < 12; round++) {
      const int groups = random.integer(1, 6) * (round % 2 ? 4 : 1), size = random.integer(1, 9);
      const int c = groups * size, h = random.integer(1, 17), w = random.integer(1, 23);
      // A mean far from zero: sums of squares that cancel.
      const float mean = random.uniform(-30, 30);
      std::vector<float> x = random.normals(size_t(h) * w * (c + 5)), gamma = random.normals(c),
                         beta = random.normals(c);
      for (float& v : x) v += mean;
      const Tensor in = dense_f32(x.data(), h, w, c + 5).channels(3, c);
      const Act act = round % 3 == 0 ? Act::none : round % 3 == 1 ? Act::silu : Act::relu;
      const auto expected = reference::group_norm(in, gamma.data(), beta.data(), groups, 1e-6, act);
      INFO("isa " << isa << " [" << h << ", " << w << ", " << c << "] groups " << groups << " mean " << mean);

      std::vector<float> first, out(size_t(h) * w * c);
      for (int threads : {1, 3})
        for (int strip : {(h + 3) / 4 * 4, 8, 4}) {
          Pool pool(threads);
          cpu::Scratch scratch;
          cpu::Context context{pool, scratch};
          alignas(64) float stats[4 * 24];
          GroupStats<Tensor> sums{in, dense_f32(stats, 1, 1, 4 * groups), groups};
          for (int y = 0; y < h; y += strip) cpu::run(sums, context, {y, std::min(h, y + strip)});
          std::fill(out.begin(), out.end(), NAN);
          GroupNorm<Tensor> norm{in, sums.y, dense_f32(out.data(), h, w, c), {}, groups, 1e-6f, act};
          norm.w.cout = c, norm.w.w = gamma.data(), norm.w.bias = beta.data();
          for (int y = 0; y < h; y += strip) cpu::run(norm, context, {y, std::min(h, y + strip)});
          if (first.empty()) first = out;
          CHECK(first == out);
        }
      double worst = 0, largest = 1;
      for (size_t i = 0; i < out.size(); i++) {
        worst = std::max(worst, std::abs(out[i] - expected[i]));
        largest = std::max(largest, std::abs(expected[i]));
      }
      // x * scale + shift: both terms are up to |mean| / std times gamma and round by half an ulp each; a
      // group of few equal numbers makes std small. SiLU has a slope of at most 1.1 and its exp 4 ulp.
      double ratio = 1;
      for (int g = 0; g < groups; g++) {
        double m = 0, v = 0;
        const double n = double(h) * w * size;
        for (int p = 0; p < h * w; p++)
          for (int k = 0; k < size; k++) m += in.at(p / w, p % w)[g * size + k] / n;
        for (int p = 0; p < h * w; p++)
          for (int k = 0; k < size; k++) v += std::pow(in.at(p / w, p % w)[g * size + k] - m, 2) / n;
        ratio = std::max(ratio, (std::abs(m) + 4 * std::sqrt(v)) / std::sqrt(v + 1e-6));
      }
      CHECK(worst <= 0x1p-24 * (8 * largest + 4 * ratio * 5));
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}
