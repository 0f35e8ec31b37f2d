// The halves of a transformer layer on the CPU against their definition in double.
#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "tests/kernels/sublayer_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

Weight packed(Weight w, const std::vector<float>& matrix, const std::vector<float>& bias,
              std::vector<float>& memory) {
  memory.resize(matrix.size());
  cpu::pack_conv_weight(matrix.data(), memory.data(), DType::f32, w.cout, w.cin, 1);
  w.w = memory.data();
  w.bias = bias.empty() ? nullptr : bias.data();
  return w;
}

// Sums of at most 576 terms of magnitude about 1, rounded at 2^-24 a few times over; a norm behind them
// divides by the spread of at least 8 values, which gamma multiplies by at most 5.
constexpr double kTolerance = 2e-4;

void compare(const Tensor& y, const reference::Pixels& expected) {
  double worst = 0;
  size_t i = 0;
  for (int r = 0; r < y.h; r++)
    for (int x = 0; x < y.w; x++) {
      for (int c = 0; c < y.c; c++, i++) {
        REQUIRE(std::isfinite(y.at(r, x)[c]));
        worst = std::max(worst, std::fabs(double(y.at(r, x)[c]) - expected[i]));
      }
      for (int64_t c = y.c; c < y.px; c++) REQUIRE(y.at(r, x)[c] == -7);
    }
  CHECK(worst < kTolerance);
}

}  // namespace

TEST_CASE("transformer sublayers equal their definitions", "[kernels][sublayers]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    Pool pool(2);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    for (const SublayerShape& s : sublayer_shapes()) {
      INFO(isa << ", window " << s.window.h << "x" << s.window.w << " keys " << s.keys.h << " shift "
               << s.shift.h << " heads " << s.heads << " d " << s.d);
      SublayerCase t = sublayer_case(random, s);
      attach_flat(t);
      const Extent e = s.size();
      const int x_px = s.c + random.integer(0, 5), y_px = s.c + random.integer(0, 5);
      std::vector<float> x = random.normals(size_t(e.pixels()) * x_px),
                         other = random.normals(size_t(e.pixels()) * s.c);
      std::vector<float> y(size_t(e.pixels()) * y_px, -7), memory[4];
      const Tensor tx = dense_f32(x.data(), e.h, e.w, x_px).channels(0, s.c);
      const Tensor ty = dense_f32(y.data(), e.h, e.w, y_px).channels(0, s.c);
      const Tensor beside = dense_f32(other.data(), e.h, e.w, s.c);

      AttentionSublayer<Tensor> a = t.attention;
      a.x = tx, a.y = ty, a.residual = s.norm_at == NormAt::none ? beside : tx;
      a.qkv = packed(a.qkv, t.m.qkv, t.m.qkv_bias, memory[0]);
      a.proj = packed(a.proj, t.m.proj, t.m.proj_bias, memory[1]);
      cpu::run(a, context);
      compare(ty, reference::attention_sublayer(a, t.m));

      MlpSublayer<Tensor> m = t.mlp;
      m.x = tx, m.y = ty;
      if (s.norm_at != NormAt::after && s.shift.h) m.add = {beside, 0.5f, 1};
      m.fc1 = packed(m.fc1, t.m.fc1, t.m.fc1_bias, memory[2]);
      m.fc2 = packed(m.fc2, t.m.fc2, t.m.fc2_bias, memory[3]);
      cpu::run(m, context);
      compare(ty, reference::mlp_sublayer(m, t.m));
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}
