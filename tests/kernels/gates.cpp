// Affine, gate, channel attention and depthwise convolution against tests/reference/gates.h.
#include "tests/reference/gates.h"

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;
using namespace ups::testing;

namespace {

constexpr float kUntouched = -12345;

// An image in a slice of a wider buffer, filled with random numbers or a mark.
struct Picture {
  std::vector<float> values;
  Tensor t;
  Picture(int h, int w, int c, int extra, Random* random) : values(size_t(h) * w * (c + extra), kUntouched) {
    if (random) values = random->normals(values.size());
    const int first = extra / 2;
    t = dense_f32(values.data(), h, w, c + extra).channels(first, c);
  }
};

// Rows [begin, end) as expected, everything else as it was.
void expect_rows(const Picture& y, const reference::Expected& e, int begin, int end) {
  double worst = 0;
  size_t i = 0;
  bool clean = true;
  reference::each_element(y.t, [&](int row, int x, int c) {
    const float got = y.t.at(row, x)[c];
    if (row >= begin && row < end)
      worst = std::max(worst, std::isfinite(got) ? std::abs(got - e.y[i]) / e.tolerance[i] : 1e9);
    else
      clean = clean && got == kUntouched;
    i++;
  });
  CHECK(worst <= 1);
  CHECK(clean);
  size_t marks = 0;
  for (float v : y.values) marks += v == kUntouched;
  CHECK(marks == y.values.size() - size_t(std::max(0, std::min(end, y.t.h) - begin)) * y.t.w * y.t.c);
}

struct Weights {
  std::vector<float> values, bias;
  Weight w;
  Weights(int cout, int cin, bool with_bias, Random& random)
      : values(random.normals(size_t(cout) * cin)), bias(random.normals(cout)) {
    w.cout = cout, w.k = 1, w.cin = cin;
    w.w = values.data();
    if (with_bias) w.bias = bias.data();
  }
};

// body(context, random) for every ISA, a few rounds.
template <class Body>
void on_every_isa(Random& random, int rounds, Body&& body) {
  for (const std::string& isa : cpu::isa_available()) {
    INFO(isa);
    cpu::isa_force(isa);
    Pool pool(2);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    for (int round = 0; round < rounds; round++) body(context, random.integer(0, 1) == 1);
  }
  cpu::isa_force(cpu::isa_available().front());
}

}  // namespace

TEST_CASE("affine and gate equal their definitions", "[kernels][gates]") {
  UPS_RANDOM(random);
  on_every_isa(random, 12, [&](cpu::Context& context, bool one_gate) {
    const int h = random.integer(1, 9), w = random.integer(1, 9), c = random.integer(1, 70),
              begin = random.integer(0, h - 1), end = random.integer(begin, h);
    INFO("[" << h << ", " << w << ", " << c << "] rows " << begin << ".." << end << " one gate " << one_gate);
    const int few = std::min(c, 4);
    Picture x4(h, w, few, 2, &random), y4(h, w, few, 3, nullptr);
    Affine<Tensor> affine{x4.t, y4.t};
    for (int i = 0; i < 4; i++) affine.scale[i] = random.normal(), affine.shift[i] = random.normal();
    cpu::run(affine, context, {begin, end});
    expect_rows(y4, reference::affine(affine), begin, end);

    Picture x(h, w, c, 3, &random), g(h, w, one_gate ? 1 : c, 5, &random), add(h, w, c, 0, &random),
        y(h, w, c, 4, nullptr);
    for (float& v : g.values) v *= 3;
    Gate<Tensor> gate{x.t, g.t, y.t, random.integer(0, 1) == 1, random.normal(), random.normal(), {}};
    if (random.integer(0, 1)) gate.add = {add.t, random.normal()};
    cpu::run(gate, context, {begin, end});
    expect_rows(y, reference::gate(gate), begin, end);
  });
}

TEST_CASE("a gate saturates without NaN", "[kernels][gates]") {
  on_every_isa(*std::make_unique<Random>(1), 1, [&](cpu::Context& context, bool) {
    std::vector<float> x(40, 2.0f), g(40), y(40);
    for (int i = 0; i < 40; i++) g[i] = (i % 2 ? 1.0f : -1.0f) * std::pow(10.0f, float(i - 2));
    cpu::run(Gate<Tensor>{dense_f32(x.data(), 1, 1, 40), dense_f32(g.data(), 1, 1, 40),
                          dense_f32(y.data(), 1, 1, 40)},
             context);
    for (int i = 10; i < 40; i++) CHECK(y[i] == Approx(i % 2 ? 2 : 0).margin(1e-37));
  });
}

TEST_CASE("the depthwise convolution equals its definition", "[kernels][gates]") {
  UPS_RANDOM(random);
  on_every_isa(random, 16, [&](cpu::Context& context, bool) {
    const int h = random.integer(1, 9), w = random.integer(1, 14), c = random.integer(1, 70),
              k = 2 * random.integer(0, 2) + 1, begin = random.integer(0, h - 1),
              end = random.integer(begin, h);
    const Act act = std::vector{Act::none, Act::relu, Act::lrelu, Act::gelu, Act::silu}[random.integer(0, 4)];
    INFO("[" << h << ", " << w << ", " << c << "] k " << k << " act " << int(act));
    Picture x(h, w, c, 3, &random), factor(h, w, c, 1, &random), y(h, w, c, 4, nullptr);
    Weights weights(c, k * k, random.integer(0, 1), random);
    DepthwiseConv2d<Tensor> op{x.t, {}, y.t, weights.w, k, act, 0.2f};
    if (random.integer(0, 1)) op.gate = factor.t;
    cpu::run(op, context, {begin, end});
    expect_rows(y, reference::depthwise_conv2d(op, weights.values), begin, end);
  });
}

TEST_CASE("channel attention equals its definition", "[kernels][gates]") {
  UPS_RANDOM(random);
  on_every_isa(random, 12, [&](cpu::Context& context, bool) {
    const int h = random.integer(1, 9), w = random.integer(1, 150), c = random.integer(1, 70),
              r = random.integer(1, 9);
    INFO("[" << h << ", " << w << ", " << c << "] r " << r);
    Picture x(h, w, c, 3, &random), pool(h, w, c, 1, &random), y(h, w, c, 4, nullptr),
        add(h, w, c, 0, &random), add2(h, w, c, 2, &random);
    Weights w1(r, c, random.integer(0, 1), random), w2(c, r, random.integer(0, 1), random);
    ChannelAttention<Tensor> op{x.t, {}, y.t, w1.w, w2.w};
    op.act = random.integer(0, 1) ? Act::relu : Act::gelu;
    op.scale = random.normal();
    if (random.integer(0, 1)) op.pool = pool.t;
    if (random.integer(0, 1)) op.add = {add.t, random.normal()};
    if (random.integer(0, 1)) op.add2 = {add2.t, random.normal()};
    cpu::run(op, context);
    expect_rows(y, reference::channel_attention(op, w1.values, w2.values, 34), 0, h);
  });
}

TEST_CASE("channel attention does not depend on the number of threads", "[kernels][gates]") {
  UPS_RANDOM(random);
  Picture x(37, 53, 24, 0, &random);
  Weights w1(3, 24, true, random), w2(24, 3, true, random);
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    Pool pool(threads);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    Picture y(37, 53, 24, 0, nullptr);
    cpu::run(ChannelAttention<Tensor>{x.t, {}, y.t, w1.w, w2.w}, context);
    results.push_back(y.values);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("cross-covariance attention equals its definition", "[kernels][gates]") {
  UPS_RANDOM(random);
  on_every_isa(random, 8, [&](cpu::Context& context, bool) {
    const int h = random.integer(1, 20), w = random.integer(1, 20), heads = random.integer(1, 3),
              d = random.integer(1, 40);
    INFO("[" << h << ", " << w << "] heads " << heads << " of " << d);
    Picture x(h, w, 3 * heads * d, 3, &random), y(h, w, heads * d, 4, nullptr);
    Weights t(heads, 1, false, random);
    for (float& v : t.values) v *= 5;
    const CrossCovarianceAttention<Tensor> op{x.t, y.t, t.w, heads, d};
    cpu::run(op, context);
    // A row of at most 20 pixels in float, the rest in double.
    expect_rows(y, reference::cross_covariance_attention(op, 20), 0, h);
  });
}

TEST_CASE("cross-covariance attention does not depend on the number of threads", "[kernels][gates]") {
  UPS_RANDOM(random);
  Picture x(37, 300, 36, 0, &random);
  Weights t(2, 1, false, random);
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    Pool pool(threads);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    Picture y(37, 300, 12, 0, nullptr);
    cpu::run(CrossCovarianceAttention<Tensor>{x.t, y.t, t.w, 2, 6}, context);
    results.push_back(y.values);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("gates refuse operands that do not belong together", "[kernels][gates]") {
  Random random(1);
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  Picture a(3, 4, 5, 0, &random), b(3, 4, 6, 0, &random), y(3, 4, 5, 0, nullptr);
  Weights w1(2, 5, true, random), w2(6, 2, true, random);
  CHECK_THROWS_AS(cpu::run(Gate<Tensor>{a.t, b.t, y.t}, context), Error);
  CHECK_THROWS_AS(cpu::run(Affine<Tensor>{a.t, y.t}, context), Error);
  CHECK_THROWS_AS(cpu::run(ChannelAttention<Tensor>{a.t, {}, y.t, w1.w, w2.w}, context), Error);
  CHECK_THROWS_AS(cpu::run(DepthwiseConv2d<Tensor>{a.t, {}, y.t, w2.w}, context), Error);
}
