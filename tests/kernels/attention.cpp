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

// Largest error, and whether anything beside y was written. With bounds, one a pixel, in units of them.
double error_of(const Tensor& y, const std::vector<float>& memory, const std::vector<double>& expected,
                const std::vector<double>& bounds = {}) {
  double worst = 0;
  size_t i = 0;
  for (int r = 0; r < y.h; r++)
    for (int x = 0; x < y.w; x++) {
      const double unit = bounds.empty() ? 1 : bounds[size_t(r) * y.w + x];
      for (int c = 0; c < y.c; c++, i++) {
        REQUIRE(std::isfinite(y.at(r, x)[c]));
        worst = std::max(worst, std::fabs(y.at(r, x)[c] - expected[i]) / unit);
      }
      for (int64_t c = y.c; c < y.px; c++) REQUIRE(memory[(size_t(r) * y.w + x) * y.px + c] == -7);
    }
  return worst;
}

// What float may be off by in a pixel. The mean and the variance are sums of c terms: some 4 + sqrt(c)
// roundings of 2^-24 of their size each. Of few channels with a mean far from zero the spread may be small: x
// - mean then is wrong by a rounding of the mean, which the spread divides. A value is within 5 spreads or,
// of few channels, sqrt(c).
std::vector<double> layer_norm_bounds(const LayerNorm<Tensor>& op) {
  const int channels = op.x.c;
  double gamma = 0, rest = 0;
  for (int c = 0; c < channels; c++) {
    gamma = std::max(gamma, double(std::abs(static_cast<const float*>(op.w.w)[c])));
    rest = std::max(rest, double(std::abs(op.w.bias[c])));
  }
  std::vector<double> bounds;
  for (int y = 0; y < op.x.h; y++)
    for (int x = 0; x < op.x.w; x++) {
      double mean = 0, variance = 0, add = 0;
      for (int c = 0; c < channels; c++) {
        mean += double(op.x.at(y, x)[c]) / channels;
        if (op.add.data) add = std::max(add, double(std::abs(op.add.at(y, x)[c])));
      }
      for (int c = 0; c < channels; c++) variance += std::pow(op.x.at(y, x)[c] - mean, 2) / channels;
      const double size = (std::abs(mean) + std::sqrt(variance)) / std::sqrt(variance + op.eps) + 5;
      bounds.push_back(0x1p-24 * ((4 + std::sqrt(double(channels))) * gamma * size + 2 * (rest + add)));
    }
  return bounds;
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
      CHECK(error_of(t.op.y, t.y, reference::layer_norm(t.op), layer_norm_bounds(t.op)) <= 1);
    }
    LayerNormCase flat = layer_norm_case(random, 2, 2, 20);
    flat.x.assign(flat.x.size(), 3);  // no variance: eps keeps it finite
    cpu::run(flat.op, context);
    CHECK(error_of(flat.op.y, flat.y, reference::layer_norm(flat.op), layer_norm_bounds(flat.op)) <= 1);
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
