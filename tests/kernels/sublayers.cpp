// The halves of a transformer layer on the CPU against their definition in double.
#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "kernels/cpu/winograd_tile.h"
#include "kernels/error.h"
#include "tests/kernels/conv2d_case.h"
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
  std::vector<SublayerShape> shapes = sublayer_shapes();
  // Strassen's products with windows of an odd number of panels and no whole number of register tiles.
  shapes.push_back({{9, 10}, {9, 10}, {1, 5}, 1, 2, 5, 26, 130, true, NormAt::after, 128});
  shapes.push_back({{4, 5}, {4, 5}, {0, 1}, 2, 2, 4, 32, 128, false, NormAt::before, 134});
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    Pool pool(2), one(1);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch}, alone{one, scratch};
    for (const SublayerShape& s : shapes) {
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

      // Both as one, over their input; with one thread the same bits.
      std::vector<float> attended = reference::attention_sublayer(a, t.m), with_two;
      m.x = dense_f32(attended.data(), e.h, e.w, s.c);
      const reference::Pixels expected = reference::mlp_sublayer(m, t.m);
      if (a.residual.data == tx.data) a.residual = ty;
      a.x = m.x = ty;
      REQUIRE(cpu::joins(a, m) == cpu::runs_whole(a));
      if (!cpu::joins(a, m)) continue;
      for (cpu::Context* each : {&context, &alone}) {
        for (int r = 0; r < e.h; r++)
          for (int col = 0; col < e.w; col++) std::copy_n(tx.at(r, col), s.c, ty.at(r, col));
        cpu::run(a, m, *each);
        compare(ty, expected);
        if (each == &context) with_two = y;
      }
      CHECK(y == with_two);
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("sublayers read weights packed at load and half-precision weights alike", "[kernels][sublayers]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    Pool pool(2);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    // Widths that are no multiples of a register tile, in plain products and in Strassen's, and pixels that
    // do not fill the last panel.
    for (const auto& [c, hidden] : {std::pair{38, 77}, {130, 134}}) {
      INFO(isa << ", " << c << " channels");
      SublayerCase t =
          sublayer_case(random, {{3, 5}, {3, 5}, {1, 2}, 2, 3, 2, c / 2, c, false, NormAt::before, hidden});
      attach_flat(t);
      const Extent e{6, 15};
      std::vector<float> x = random.normals(size_t(e.pixels()) * c), y[3], memory[2];
      MlpSublayer<Tensor> op = t.mlp;
      op.x = dense_f32(x.data(), e.h, e.w, c);
      // Values that both formats hold.
      std::vector<uint16_t> half[2];
      std::vector<float>* const matrices[2] = {&t.m.fc1, &t.m.fc2};
      for (int i = 0; i < 2; i++)
        for (float& v : *matrices[i]) {
          v = float(random.integer(-1024, 1024)) / 1024;
          half[i].push_back(half_bits(v));
        }
      std::vector<uint16_t> half_packed[2];
      for (int kind = 0; kind < 3; kind++) {
        y[kind].assign(x.size(), 0);
        op.y = dense_f32(y[kind].data(), e.h, e.w, c);
        Weight* const weights[2] = {&op.fc1, &op.fc2};
        const std::vector<float>* const biases[2] = {&t.m.fc1_bias, &t.m.fc2_bias};
        for (int i = 0; i < 2; i++) {
          Weight& w = *weights[i];
          w = packed(w, *matrices[i], *biases[i], memory[i]);
          if (kind == 1) {
            memory[i].resize(size_t(cpu::packed_linear_floats(w)));
            cpu::pack_linear_weight(matrices[i]->data(), memory[i].data(), w);
          }
          if (kind == 2) {
            half_packed[i].resize(half[i].size());
            cpu::pack_conv_weight(half[i].data(), half_packed[i].data(), DType::f16, w.cout, w.cin, 1);
            w.w = half_packed[i].data(), w.dtype = DType::f16, w.tile = 0;
          }
        }
        cpu::run(op, context);
      }
      CHECK(y[0] == y[1]);
      CHECK(y[0] == y[2]);
      op.fc1.dtype = DType::f32, op.fc1.tile = 5;
      CHECK_THROWS_AS(cpu::run(op, context), Error);
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("an MLP sublayer has the same bits with any number of threads and in parts",
          "[kernels][sublayers]") {
  UPS_RANDOM(random);
  cpu::Scratch scratch;
  const int c = 128, hidden = 130;
  SublayerCase t =
      sublayer_case(random, {{1, 1}, {1, 1}, {}, 1, 1, 2, c / 2, c, false, NormAt::before, hidden});
  attach_flat(t);
  for (const int width : {8, 20, 23, 64}) {
    INFO(width << " pixels wide");
    MlpSublayer<Tensor> op = t.mlp;
    const int step = cpu::row_step(op, {0, width}), h = 2 * step + 3;
    std::vector<float> x = random.normals(size_t(h) * width * c), y[2], memory[2];
    op.x = dense_f32(x.data(), h, width, c);
    op.fc1 = packed(op.fc1, t.m.fc1, t.m.fc1_bias, memory[0]);
    op.fc2 = packed(op.fc2, t.m.fc2, t.m.fc2_bias, memory[1]);
    for (int kind = 0; kind < 2; kind++) {
      y[kind].assign(x.size(), 0);
      op.y = dense_f32(y[kind].data(), h, width, c);
      Pool pool(kind + 1);
      cpu::Context context{pool, scratch};
      if (kind == 0) cpu::run(op, context);
      if (kind == 1) cpu::run(op, context, {2 * step, h}), cpu::run(op, context, {0, 2 * step});
    }
    CHECK(y[0] == y[1]);
  }
}
