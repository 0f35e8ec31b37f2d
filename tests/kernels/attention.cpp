// LayerNorm and WindowAttention against their definitions in double.
#include "tests/reference/attention.h"

#include <cmath>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"
#include "tests/kernels/attention_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

// Largest error, and whether anything beside y was written.
double error_of(const Tensor& y, const std::vector<float>& memory, const std::vector<double>& expected) {
  double worst = 0;
  size_t i = 0;
  for (int r = 0; r < y.h; r++)
    for (int x = 0; x < y.w; x++) {
      for (int c = 0; c < y.c; c++, i++) {
        REQUIRE(std::isfinite(y.at(r, x)[c]));
        worst = std::max(worst, std::fabs(y.at(r, x)[c] - expected[i]));
      }
      for (int64_t c = y.c; c < y.px; c++) REQUIRE(memory[(size_t(r) * y.w + x) * y.px + c] == -7);
    }
  return worst;
}

}  // namespace

TEST_CASE("layer_norm equals its definition", "[kernels][attention]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    Pool pool(2);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    for (int c : {1, 3, 8, 16, 30, 60, 144, 180, 240, 257}) {
      INFO(isa << ", " << c << " channels");
      LayerNormCase t = layer_norm_case(random, 3, 5, c);
      cpu::run(t.op, context);
      // Values are within 6 standard deviations of a mean within 6 spreads: sums of 257 terms rounded to
      // 2^-24, times a gamma within 5.
      CHECK(error_of(t.op.y, t.y, reference::layer_norm(t.op)) < 1e-4);
    }
    LayerNormCase flat = layer_norm_case(random, 2, 2, 20);
    flat.x.assign(flat.x.size(), 3);  // no variance: eps keeps it finite
    cpu::run(flat.op, context);
    CHECK(error_of(flat.op.y, flat.y, reference::layer_norm(flat.op)) < 1e-4);
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("window_attention equals its definition", "[kernels][attention]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    Pool pool(3);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    for (const AttentionShape& s : attention_shapes()) {
      INFO(isa << ", window " << s.window.h << "x" << s.window.w << " keys " << s.keys.h << " shift "
               << s.shift.h << " d " << s.d << (s.cosine ? " cosine" : ""));
      AttentionCase t = attention_case(random, s);
      cpu::run(t.op, context);
      // Logits up to 40, rounded at 2^-24 of sums of d products, are relative errors of the weights; the
      // result is an average of values within 6.
      CHECK(error_of(t.op.y, t.y, reference::window_attention(t.op)) < 1e-4);
    }
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("window_attention masks a seam by -100, not by infinity", "[kernels][attention]") {
  // One window, shifted: a query whose own side has logits below -100 attends across the seam.
  UPS_RANDOM(random);
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  AttentionCase t = attention_case(random, {{4, 4}, {4, 4}, {2, 2}, 1, 1, 1, 4, false});
  for (float& v : t.table) v *= 60;
  cpu::run(t.op, context);
  CHECK(error_of(t.op.y, t.y, reference::window_attention(t.op)) < 1e-3);
}

TEST_CASE("attention refuses operands that do not fit", "[kernels][attention]") {
  UPS_RANDOM(random);
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  const AttentionShape shape{{4, 4}, {4, 4}, {0, 0}, 2, 2, 2, 4, false};
  const auto refused = [&](const std::function<void(WindowAttention<Tensor>&)>& spoil) {
    AttentionCase t = attention_case(random, shape);
    spoil(t.op);
    CHECK_THROWS_AS(cpu::run(t.op, context), Error);
  };
  refused([](auto& op) { op.window = {3, 4}; });
  refused([](auto& op) { op.keys = {5, 5}; });
  refused([](auto& op) { op.keys = {6, 6}, op.shift = {2, 2}; });
  refused([](auto& op) { op.heads = 3; });
  refused([](auto& op) { op.bias.cin--; });
  refused([](auto& op) { op.cosine = true; });
  AttentionCase t = attention_case(random, shape);
  CHECK_THROWS_AS(cpu::run(t.op, context, {0, 4}), Error);
}
