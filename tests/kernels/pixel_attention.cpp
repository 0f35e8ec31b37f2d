// Attention against double precision: key blocks, odd channel counts, strips and threads.
#include "tests/reference/pixel_attention.h"

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("attention over all pixels equals its definition, whatever strips and threads",
          "[kernels][pixel_attention]") {
  UPS_RANDOM(random);
  struct Case {
    int h, w, d, dv;
  };
  std::vector<Case> cases = {{1, 1, 8, 8}, {3, 5, 7, 9}, {8, 8, 64, 64}, {9, 23, 33, 40}, {16, 17, 512, 512}};
  cases.push_back(
      {random.integer(1, 14), random.integer(1, 20), random.integer(1, 70), random.integer(1, 70)});
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    for (const Case& s : cases) {
      const size_t tokens = size_t(s.h) * s.w;
      std::vector<float> q = random.normals(tokens * s.d, 2), k = random.normals(tokens * (s.d + 3), 2),
                         v = random.normals(tokens * s.dv), y(tokens * s.dv);
      Attention<Tensor> op{dense_f32(q.data(), s.h, s.w, s.d),
                           dense_f32(k.data(), s.h, s.w, s.d + 3).channels(1, s.d),
                           dense_f32(v.data(), s.h, s.w, s.dv), dense_f32(y.data(), s.h, s.w, s.dv),
                           1 / std::sqrt(float(s.d))};
      INFO("isa " << isa << " [" << s.h << ", " << s.w << "] d " << s.d << " dv " << s.dv);
      const auto expected = reference::attention(op.x, op.k, op.v, op.scale);
      std::vector<float> first;
      for (int threads : {1, 3})
        for (int strip : {s.h, 3}) {
          Pool pool(threads);
          cpu::Scratch scratch;
          cpu::Context context{pool, scratch};
          std::fill(y.begin(), y.end(), NAN);
          for (int row = 0; row < s.h; row += strip) cpu::run(op, context, {row, std::min(s.h, row + strip)});
          if (first.empty()) first = y;
          CHECK(first == y);
        }
      // A score is a sum of d products of normals of deviation 2 over sqrt(d): of size 4 with 4-sigma tails
      // at 16, off by eps * (3 sqrt(d) * 4 + 16); weights are off by that much relatively, and so is the
      // weighted mean, whose values are below 6.
      double worst = 0;
      for (size_t i = 0; i < y.size(); i++) worst = std::max(worst, std::abs(y[i] - expected[i]));
      CHECK(worst <= 0x1p-23 * 6 * (12 * std::sqrt(double(s.d)) + 16));
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("attention over all pixels refuses operands that do not belong together",
          "[kernels][pixel_attention]") {
  std::vector<float> a(64);
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  const Tensor t = dense_f32(a.data(), 4, 4, 4), other = dense_f32(a.data(), 2, 4, 4);
  CHECK_THROWS_AS(cpu::run(Attention<Tensor>{t, other, t, t}, context), Error);
  CHECK_THROWS_AS(cpu::run(Attention<Tensor>{t, t.channels(0, 2), t, t}, context), Error);
  CHECK_THROWS_AS(cpu::run(Attention<Tensor>{t, t, t, t.channels(0, 2)}, context), Error);
}
