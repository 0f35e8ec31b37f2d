// attention_sublayer_mma.cu, mlp_sublayer_mma.cu and the parts they stand for, against definitions in double.
#include "kernels/sublayers.h"

#include "kernels/error.h"
#include "kernels/pack.h"
#include "tests/device/twin.h"
#include "tests/kernels/sublayer_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

// A linear layer's weights on the device, and what they became there.
struct Layer {
  std::unique_ptr<Twin<uint16_t>> half;
  std::unique_ptr<Twin<float>> full, bias;
  Layer(Weight& w, std::vector<float>& matrix, const std::vector<float>& b, DType d) {
    for (float& v : matrix) v = round_to(d, v);
    const size_t elements = mma_layout(w.cout, w.cin, 1).elements();
    if (d == DType::f32) {
      full = std::make_unique<Twin<float>>(elements);
      pack_mma(matrix.data(), WeightOrder::oihw, w.cout, w.cin, 1, d, full->host());
      full->upload(), w.w = full->data();
    } else {
      half = std::make_unique<Twin<uint16_t>>(elements);
      pack_mma(matrix.data(), WeightOrder::oihw, w.cout, w.cin, 1, d, half->host());
      half->upload(), w.w = half->data();
    }
    w.dtype = d;
    if (b.empty()) return;
    bias = copy(b);
    w.bias = bias->data();
  }
  static std::unique_ptr<Twin<float>> copy(const std::vector<float>& v) {
    auto twin = std::make_unique<Twin<float>>(v.size());
    std::copy(v.begin(), v.end(), twin->host());
    twin->upload();
    return twin;
  }
};

double unit_of(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0x1p-24; }

// What a norm behind the projection multiplies each value's error by: gamma over the spread of its pixel.
// y: the definition's result without the norm. Empty where there is none.
std::vector<double> gains_of(const Weight& norm, double eps, const reference::Pixels& y,
                             const reference::Pixels& residual) {
  const size_t c = size_t(norm.cout);
  std::vector<double> gains;
  for (size_t first = 0; first < y.size(); first += c) {
    double mean = 0, variance = 0;
    for (size_t i = first; i < first + c; i++) mean += (double(y[i]) - residual[i]) / double(c);
    for (size_t i = first; i < first + c; i++)
      variance += std::pow(double(y[i]) - residual[i] - mean, 2) / double(c);
    for (size_t k = 0; k < c; k++)
      gains.push_back(std::abs(static_cast<const float*>(norm.w)[k]) / std::sqrt(variance + eps));
  }
  return gains;
}

struct Difference {
  double worst = 0, rms = 0;  // beyond what storing y rounds
  double all_rms = 0;         // with it
  bool clean = true;          // nothing beside y was written
};

// worst: where an error is multiplied by more than 2, what it would be at 2.
Difference difference(TwinImage& y, const reference::Pixels& expected, const std::vector<double>& gains) {
  y.download();
  Tensor t = y.mirror;
  const int bytes = dtype_bytes(t.dtype), c = t.c;
  const int first = int((static_cast<unsigned char*>(t.data) - y.memory->host()) / bytes);
  t.data = y.memory->host();
  Difference d;
  size_t i = 0;
  for (int64_t p = 0; p < t.extent().pixels(); p++)
    for (int channel = 0; channel < int(t.px); channel++) {
      const float got = load_element(t, p * t.px + channel);
      if (channel < first || channel >= first + c) {
        d.clean = d.clean && std::isnan(got);
        continue;
      }
      const double all = std::isnan(got) ? INFINITY : std::abs(double(got) - expected[i]);
      const double error = std::max(0.0, all - std::abs(expected[i]) * unit_of(t.dtype));
      const double gain = gains.empty() ? 1 : std::max(1.0, gains[i] / 2);
      d.worst = std::max(d.worst, error / gain), d.rms += error * error, d.all_rms += all * all;
      i++;
    }
  d.rms = std::sqrt(d.rms / double(i)), d.all_rms = std::sqrt(d.all_rms / double(i));
  return d;
}

// Images, some of them slices of wider ones.
struct Operands {
  TwinImage x, beside, y;
  Operands(Random& random, DType d, Extent e, int c)
      : x(image(random, d, e, c, &random)),
        beside(image(random, d, e, c, &random)),
        y(image(random, d, e, c, nullptr)) {}
  static TwinImage image(Random& random, DType d, Extent e, int c, Random* fill) {
    const int extra = random.integer(0, 4);
    return TwinImage(d, 1, e.h, e.w, c, random.integer(0, extra), extra, fill);
  }
};

// The fixed shapes, and random ones.
std::vector<SublayerShape> all_shapes(Random& random) {
  std::vector<SublayerShape> shapes = sublayer_shapes();
  for (int i = 0; i < rounds(6, 40); i++) shapes.push_back(random_sublayer_shape(random));
  return shapes;
}

std::string describe(const SublayerShape& s, DType d) {
  return std::to_string(s.window.h) + "x" + std::to_string(s.window.w) + " windows, keys " +
         std::to_string(s.keys.h) + ", shift " + std::to_string(s.shift.h) + ", " + std::to_string(s.heads) +
         " heads of " + std::to_string(s.d) + ", " + std::to_string(s.c) + " channels of " + dtype_name(d);
}

// Everything is of order 1 and rounded by at most half a unit (rms 0.3) each of about 7 times on the way: n,
// q, k, v, the weights p, attended, projected. Logits of order 3 multiply the errors of q and k, gamma those
// behind a norm, both by about 2 on average: rms 0.3 * 2 * sqrt(7) < 2 units, and 8 sigma for the worst of
// 10^4. Cosines are multiplied by up to 10, thrice as much as other logits.
Difference check_difference(TwinImage& y, const reference::Pixels& expected, DType d, bool cosine = false,
                            const std::vector<double>& gains = {}) {
  const Difference e = difference(y, expected, gains);
  const double units = cosine ? 3 : 1;
  CHECK(e.worst <= 16 * units * unit_of(d) + 1e-4);
  CHECK(e.rms <= 2 * units * unit_of(d) + 1e-5);
  CHECK(e.clean);
  return e;
}

// The parts of a sublayer store all that the whole keeps in f32 or rounds, too; the whole may be off by the
// softmax weights, which it rounds and they do not. Both store y, which is most of an error, and a ratio of
// two rms says something where they are means of many values: a pixel's errors go together, through its norm
// and its weights, and so do a channel's.
struct AgainstParts {
  double whole = 0, parts = 0;
  void take(std::string_view variant, const Difference& e) {
    double& rms = variant == "naive" ? parts : whole;
    rms = std::max(rms, e.all_rms);
  }
  void check(const Tensor& y) const {
    const int64_t pixels = y.extent().pixels();
    if (y.dtype != DType::f32 && pixels >= 50 && pixels * y.c >= 1000) CHECK(whole <= 1.5 * parts);
  }
};

// An attention sublayer with operands and weights on the device, and what it should give.
struct AttentionCase {
  SublayerCase t;
  Operands o;
  AttentionSublayer<Tensor> op;
  Layer qkv, proj;
  std::unique_ptr<Twin<float>> gamma, beta, table, scales;
  reference::Pixels expected;
  std::vector<double> gains;
  AttentionCase(Random& random, const SublayerShape& s, DType d)
      : t(sublayer_case(random, s)),
        o(random, d, s.size(), s.c),
        op(t.attention),
        qkv(op.qkv, t.m.qkv, t.m.qkv_bias, d),
        proj(op.proj, t.m.proj, t.m.proj_bias, d),
        gamma(Layer::copy(t.gamma)),
        beta(Layer::copy(t.beta)),
        table(Layer::copy(t.table)),
        scales(Layer::copy(t.scales)) {
    attach_flat(t);
    AttentionSublayer<Tensor> on_host = t.attention;
    op.norm.w = gamma->data(), op.norm.bias = beta->data();
    op.bias.w = table->data(), op.bias.bias = s.cosine ? scales->data() : nullptr;
    op.x = o.x.on_device, op.y = o.y.on_device, on_host.x = o.x.on_host;
    const bool apart = s.norm_at == NormAt::none || !(s.keys == s.window);
    op.residual = apart ? o.beside.on_device : op.x;
    on_host.residual = apart ? o.beside.on_host : on_host.x;
    expected = reference::attention_sublayer(on_host, t.m);
    if (s.norm_at != NormAt::after) return;
    on_host.norm_at = NormAt::none;
    gains = gains_of(on_host.norm, on_host.eps, reference::attention_sublayer(on_host, t.m),
                     reference::pixels_of(on_host.residual));
  }
  // Every variant that accepts, and what run() takes with y in the place of x or, where others read x, of the
  // residual. Returns how many kernels of their own accepted.
  int check_variants(DType d, bool cosine) {
    AgainstParts against;
    int kernels = 0;
    for (const AttentionSublayerVariant& v : attention_sublayer_variants()) {
      if (v.declines(op, test_device())) continue;
      INFO(v.name);
      kernels += std::string(v.name) != "naive";
      o.y.memory->poison();
      v.launch(op, test_stream(), {});
      against.take(v.name, check_difference(o.y, expected, d, cosine, gains));
    }
    against.check(op.y);
    if (kernels == 0) return 0;
    TwinImage& place = op.keys == op.window ? o.x : o.beside;  // plans let y take it
    op.y = place.on_device;
    run(op, test_stream());
    check_difference(place, expected, d, cosine, gains);
    return kernels;
  }
};

}  // namespace

TEST_CASE("attention sublayers on the device equal their definition", "[simt][sublayers]") {
  UPS_RANDOM(random);
  int round = 0;
  for (const SublayerShape& s : all_shapes(random))
    for (DType d : {DType::f16, DType::bf16, DType::f32}) {
      if (d == DType::f32 && round % 2) continue;
      INFO(describe(s, d));
      take_schedule(round++);
      // Windows of at most 64 pixels that attend to themselves; keys around them that need no norm.
      const bool small = s.keys == s.window && s.window.pixels() <= 64;
      const bool wide = s.c <= 192 && (s.keys == s.window || s.norm_at != NormAt::before);
      CHECK(AttentionCase(random, s, d).check_variants(d, s.cosine) == (d == DType::f32 ? 0 : small + wide));
    }
  take_schedule(0);
}

TEST_CASE("attention sublayers with wide windows equal their definition", "[simt][sublayers]") {
  UPS_RANDOM(random);
  for (int round = 0; round < rounds(12, 60); round++) {
    const SublayerShape s = random_wide_shape(random);
    const DType d = round % 2 ? DType::bf16 : DType::f16;
    INFO(describe(s, d));
    take_schedule(round);
    AttentionCase a(random, s, d);
    CHECK_FALSE(attention_sublayer_variants()[1].declines(a.op, test_device()));
    CHECK(a.check_variants(d, s.cosine) >= 1);
  }
  take_schedule(0);
}

TEST_CASE("HAT's windows run whole where shared memory allows", "[simt][sublayers]") {
  UPS_RANDOM(random);
  const auto variant = [](const AttentionSublayer<Tensor>& op, int kilobytes) {
    DeviceInfo device = test_device();
    device.smem_bytes = kilobytes << 10;
    return std::string(variant_name(op, device));
  };
  {
    AttentionCase own(random, {{16, 16}, {16, 16}, {8, 8}, 1, 1, 6, 30, 180, false, NormAt::none, 1},
                      DType::f16);
    CHECK(variant(own.op, 227) == "wide");
    CHECK(variant(own.op, 99) == "naive");
    REQUIRE(variant(own.op, 163) == "wide");  // with two chunks in flight
    DeviceInfo device = test_device();
    device.smem_bytes = 163 << 10;
    Stream stream(device);
    own.o.y.memory->poison();
    run(own.op, stream);
    stream.synchronize();
    check_difference(own.o.y, own.expected, DType::f16);
  }
  AttentionCase around(random, {{16, 16}, {24, 24}, {0, 0}, 1, 1, 6, 30, 180, false, NormAt::none, 1},
                       DType::bf16);
  CHECK(variant(around.op, 163) == "naive");
  REQUIRE(variant(around.op, 227) == "wide");
  run(around.op, test_stream());
  check_difference(around.o.y, around.expected, DType::bf16);
  AttentionSublayer<Tensor> unfit = around.op;
  unfit.y = unfit.x;  // other windows read it
  CHECK(variant(unfit, 227) == "naive");
  unfit = around.op, unfit.norm_at = NormAt::before;
  CHECK(variant(unfit, 227) == "naive");
  unfit = around.op, unfit.shift = {1, 0};
  CHECK(variant(unfit, 227) == "naive");
}

TEST_CASE("sublayers fit the shared memory of each device", "[simt][sublayers]") {
  // As much as sm_86, sm_80 and sm_90 grant a block, and so little that stages and windows are fewest.
  UPS_RANDOM(random);
  const SublayerShape s{{8, 8}, {8, 8}, {4, 4}, 1, 3, 6, 30, 180, false, NormAt::before, 360};
  AttentionCase attention(random, s, DType::f16);
  SublayerCase& t = attention.t;
  Operands& o = attention.o;
  const AttentionSublayer<Tensor>& op = attention.op;
  MlpSublayer<Tensor> mlp = t.mlp;
  const Layer fc1(mlp.fc1, t.m.fc1, t.m.fc1_bias, DType::f16),
      fc2(mlp.fc2, t.m.fc2, t.m.fc2_bias, DType::f16);
  MlpSublayer<Tensor> mlp_on_host = t.mlp;
  mlp.norm = op.norm;
  mlp.x = op.x, mlp.y = op.y, mlp_on_host.x = o.x.on_host;
  const reference::Pixels mlp_expected = reference::mlp_sublayer(mlp_on_host, t.m);
  for (int kilobytes : {227, 163, 99, 64}) {
    INFO(kilobytes << " KB");
    DeviceInfo device = test_device();
    device.smem_bytes = kilobytes << 10;
    Stream stream(device);
    REQUIRE(std::string(variant_name(op, device)) == "mma");
    REQUIRE(std::string(variant_name(mlp, device)) == "mma");
    o.y.memory->poison();
    run(op, stream);
    stream.synchronize();
    check_difference(o.y, attention.expected, DType::f16);
    o.y.memory->poison();
    run(mlp, stream);
    stream.synchronize();
    check_difference(o.y, mlp_expected, DType::f16);
  }
  DeviceInfo old = test_device();
  old.sm = 75;
  CHECK(std::string(variant_name(op, old)) == "naive");
  CHECK_FALSE(runs_whole(op, old));
}

TEST_CASE("MLP sublayers on the device equal their definition", "[simt][sublayers]") {
  UPS_RANDOM(random);
  int round = 0, fused = 0;
  for (const SublayerShape& s : all_shapes(random))
    for (DType d : {DType::f16, DType::bf16, DType::f32}) {
      if (d == DType::f32 && round % 2) continue;
      INFO(describe(s, d) << ", " << s.hidden << " hidden");
      take_schedule(round++);
      SublayerCase t = sublayer_case(random, s);
      const Extent size{random.integer(1, 5), random.integer(1, 40)};
      Operands o(random, d, size, s.c);
      MlpSublayer<Tensor> op = t.mlp;
      const Layer fc1(op.fc1, t.m.fc1, t.m.fc1_bias, d), fc2(op.fc2, t.m.fc2, t.m.fc2_bias, d);
      attach_flat(t);
      MlpSublayer<Tensor> on_host = t.mlp;
      const auto gamma = Layer::copy(t.gamma), beta = Layer::copy(t.beta);
      op.norm.w = gamma->data(), op.norm.bias = beta->data();
      op.x = o.x.on_device, op.y = o.y.on_device, on_host.x = o.x.on_host;
      if (s.norm_at != NormAt::after && round % 2)
        op.add = {o.beside.on_device, 0.5f, 1}, on_host.add = {o.beside.on_host, 0.5f, 1};
      const reference::Pixels expected = reference::mlp_sublayer(on_host, t.m);
      std::vector<double> gains;
      if (s.norm_at == NormAt::after) {
        on_host.norm_at = NormAt::none;
        gains = gains_of(on_host.norm, on_host.eps, reference::mlp_sublayer(on_host, t.m),
                         reference::pixels_of(on_host.x));
      }
      AgainstParts against;
      for (const MlpSublayerVariant& v : mlp_sublayer_variants()) {
        if (v.declines(op, test_device())) continue;
        INFO(v.name);
        fused += std::string(v.name) != "naive";
        o.y.memory->poison();
        v.launch(op, test_stream(), {0, size.h});
        against.take(v.name, check_difference(o.y, expected, d, false, gains));
      }
      against.check(op.y);
      if (d == DType::f32) continue;
      op.y = op.x;
      for (int row = 0; row < size.h; row += 2) run(op, test_stream(), {row, row + 2});  // strips
      check_difference(o.x, expected, d, false, gains);
    }
  CHECK(fused == 2 * (int(sublayer_shapes().size()) + rounds(6, 40)));
  take_schedule(0);
}
