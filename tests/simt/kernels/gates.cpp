// gates.cu against tests/reference/gates.h, in every dtype, with slices, row ranges and two images.
#include "tests/reference/gates.h"

#include "kernels/device/run.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

Stream& stream() { return test_stream(); }
DType any_dtype(Random& r) { return DType(r.integer(0, 2)); }

struct DeviceWeights {
  Twin<float> memory, bias;
  std::vector<float> values;
  Weight w, on_host;
  DeviceWeights(int cout, int cin, bool with_bias, Random& random)
      : memory(size_t(cout) * cin), bias(size_t(cout)), values(random.normals(size_t(cout) * cin)) {
    for (size_t i = 0; i < values.size(); i++) memory[i] = values[i];
    for (int c = 0; c < cout; c++) bias[size_t(c)] = random.normal();
    memory.upload(), bias.upload();
    w = {0, cout, 1, cin, DType::f32, memory.data(), with_bias ? bias.data() : nullptr, nullptr};
    on_host = w;
    if (with_bias) on_host.bias = bias.host();
  }
};

Tensor image_of(const TwinImage& t, int n) {
  Tensor one = t.on_host;
  one.data = static_cast<float*>(one.data) + n * one.image;
  return one;
}

// expected(n) gives the definition's result on image n.
template <class F>
void expect_rows(TwinImage& y, int begin, int end, F&& expected) {
  y.download();
  const Tensor& t = y.mirror;
  const double unit = t.dtype == DType::f16 ? 0x1p-11 : t.dtype == DType::bf16 ? 0x1p-8 : 0;
  double worst = 0;
  bool clean = true;
  for (int n = 0; n < t.n; n++) {
    const reference::Expected e = expected(n);
    size_t i = 0;
    reference::each_element(t, [&](int row, int x, int c) {
      const float got = load_element(t, n * t.image + row * t.row + x * t.px + c);
      const double bound = e.tolerance[i] + unit * (std::abs(e.y[i]) + e.tolerance[i]) + (unit ? 0x1p-25 : 0);
      if (row >= begin && row < end)
        worst = std::max(worst, std::isfinite(got) ? std::abs(got - e.y[i]) / bound : 1e9);
      else
        clean = clean && std::isnan(got);
      i++;
    });
  }
  CHECK(worst <= 1);
  CHECK(clean);
}

}  // namespace

TEST_CASE("affine and gate on the device equal their definitions", "[simt][gates]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 16; round++) {
    take_schedule(round);
    const int n = random.integer(1, 2), h = random.integer(1, 7), w = random.integer(1, 7),
              c = random.integer(1, 40), begin = random.integer(0, h - 1), end = random.integer(begin, h);
    const int few = std::min(c, 4);
    TwinImage x4(any_dtype(random), n, h, w, few, 1, 3, &random),
        y4(any_dtype(random), n, h, w, few, 0, 1, nullptr);
    Affine<Tensor> affine{x4.on_device, y4.on_device};
    for (int i = 0; i < 4; i++) affine.scale[i] = random.normal(), affine.shift[i] = random.normal();
    run(affine, stream(), {begin, end});
    expect_rows(y4, begin, end, [&](int i) {
      Affine<Tensor> host = affine;
      host.x = image_of(x4, i), host.y = image_of(y4, i);
      return reference::affine(host);
    });

    TwinImage x(any_dtype(random), n, h, w, c, 1, 3, &random),
        g(any_dtype(random), n, h, w, random.integer(0, 1) ? c : 1, 0, 0, &random),
        add(any_dtype(random), n, h, w, c, 2, 2, &random), y(any_dtype(random), n, h, w, c, 0, 3, nullptr);
    Gate<Tensor> gate{x.on_device,     g.on_device,     y.on_device, random.integer(0, 1) == 1,
                      random.normal(), random.normal(), {}};
    if (random.integer(0, 1)) gate.add = {add.on_device, random.normal()};
    run(gate, stream(), {begin, end});
    expect_rows(y, begin, end, [&](int i) {
      Gate<Tensor> host = gate;
      host.x = image_of(x, i), host.g = image_of(g, i), host.y = image_of(y, i);
      if (gate.add.t.data) host.add.t = image_of(add, i);
      return reference::gate(host);
    });
  }
}

TEST_CASE("the depthwise convolution on the device equals its definition", "[simt][gates]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 12; round++) {
    take_schedule(round);
    const int n = random.integer(1, 2), h = random.integer(1, 7), w = random.integer(1, 7),
              c = random.integer(1, 40), k = 2 * random.integer(0, 2) + 1, begin = random.integer(0, h - 1),
              end = random.integer(begin, h);
    TwinImage x(any_dtype(random), n, h, w, c, 1, 3, &random),
        factor(any_dtype(random), n, h, w, c, 0, 0, &random), y(any_dtype(random), n, h, w, c, 0, 3, nullptr);
    DeviceWeights weights(c, k * k, random.integer(0, 1), random);
    DepthwiseConv2d<Tensor> op{x.on_device, {}, y.on_device, weights.w, k};
    op.act = random.integer(0, 1) ? Act::gelu : Act::none;
    if (random.integer(0, 1)) op.gate = factor.on_device;
    run(op, stream(), {begin, end});
    expect_rows(y, begin, end, [&](int i) {
      DepthwiseConv2d<Tensor> host = op;
      host.x = image_of(x, i), host.y = image_of(y, i), host.w = weights.on_host;
      if (op.gate.data) host.gate = image_of(factor, i);
      return reference::depthwise_conv2d(host, weights.values);
    });
  }
}

TEST_CASE("channel attention on the device equals its definition", "[simt][gates]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 8; round++) {
    take_schedule(round);
    const int n = random.integer(1, 2), h = random.integer(1, 13), w = random.integer(1, 19),
              c = random.integer(1, 70), r = random.integer(1, 9);
    INFO("[" << n << ", " << h << ", " << w << ", " << c << "] r " << r);
    TwinImage x(any_dtype(random), n, h, w, c, 1, 3, &random),
        pool(any_dtype(random), n, h, w, c, 0, 0, &random), add(any_dtype(random), n, h, w, c, 0, 0, &random),
        add2(any_dtype(random), n, h, w, c, 0, 0, &random), y(any_dtype(random), n, h, w, c, 0, 3, nullptr);
    DeviceWeights w1(r, c, random.integer(0, 1), random), w2(c, r, random.integer(0, 1), random);
    ChannelAttention<Tensor> op{x.on_device, {}, y.on_device, w1.w, w2.w};
    op.act = random.integer(0, 1) ? Act::relu : Act::gelu, op.scale = random.normal();
    if (random.integer(0, 1)) op.pool = pool.on_device;
    if (random.integer(0, 1)) op.add = {add.on_device, random.normal()};
    if (random.integer(0, 1)) op.add2 = {add2.on_device, random.normal()};
    run(op, stream());
    expect_rows(y, 0, h, [&](int i) {
      ChannelAttention<Tensor> host = op;
      host.x = image_of(x, i), host.y = image_of(y, i);
      host.w1 = w1.on_host, host.w2 = w2.on_host;
      if (op.pool.data) host.pool = image_of(pool, i);
      if (op.add.t.data) host.add.t = image_of(add, i);
      if (op.add2.t.data) host.add2.t = image_of(add2, i);
      // 64 pixels a chunk over 8 warps, the 8 of them, at most 4 chunks.
      return reference::channel_attention(host, w1.values, w2.values, 8 + 8 + 4);
    });
  }
}

TEST_CASE("cross-covariance attention on the device equals its definition", "[simt][gates]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 6; round++) {
    take_schedule(round);
    const int n = random.integer(1, 2), h = random.integer(1, 12), w = random.integer(1, 12),
              heads = random.integer(1, 3), d = random.integer(1, 20);
    INFO("[" << n << ", " << h << ", " << w << "] heads " << heads << " of " << d);
    TwinImage x(any_dtype(random), n, h, w, 3 * heads * d, 1, 3, &random),
        y(any_dtype(random), n, h, w, heads * d, 0, 3, nullptr);
    DeviceWeights t(heads, 1, false, random);
    const CrossCovarianceAttention<Tensor> op{x.on_device, y.on_device, t.w, heads, d};
    run(op, stream());
    expect_rows(y, 0, h, [&](int i) {
      CrossCovarianceAttention<Tensor> host = op;
      host.x = image_of(x, i), host.y = image_of(y, i);
      host.t.w = t.values.data();
      return reference::cross_covariance_attention(host, 64 + 3);  // 64 pixels a run, three runs
    });
  }
}
