// layer_norm.cu and window_attention.cu against their definitions in double.
#include "tests/reference/attention.h"

#include "kernels/device/run.h"
#include "tests/device/twin.h"
#include "tests/kernels/attention_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

constexpr DType kDtypes[] = {DType::f32, DType::f16, DType::bf16};

double unit_of(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0; }

void fill(Twin<float>& to, const std::vector<float>& from) {
  std::copy(from.begin(), from.end(), to.host());
  to.upload();
}

// Everything of y right, up to the rounding of y's dtype, and nothing beside it written.
void compare(TwinImage& y, const std::vector<double>& expected, double tolerance, int image = 0) {
  y.download();
  Tensor t = y.mirror;
  t.data = static_cast<char*>(t.data) + image * t.image * dtype_bytes(t.dtype);
  double worst = 0;
  bool clean = true;
  size_t i = 0;
  for (int row = 0; row < t.h; row++)
    for (int x = 0; x < t.w; x++)
      for (int c = 0; c < int(t.px); c++) {
        const float got = load_element(t, row * t.row + x * t.px + c);
        if (c >= t.c) {
          clean = clean && std::isnan(got);
          continue;
        }
        const double error = std::abs(got - expected[i]) - std::abs(expected[i]) * unit_of(t.dtype);
        worst = std::max(worst, std::isnan(got) ? INFINITY : error);
        i++;
      }
  CHECK(worst <= tolerance);
  CHECK(clean);
}

}  // namespace

TEST_CASE("layer_norm on the device equals its definition", "[simt][attention]") {
  UPS_RANDOM(random);
  int round = 0;
  for (int c : {1, 31, 60, 180})
    for (DType d : kDtypes) {
      INFO(c << " channels of " << dtype_name(d));
      take_schedule(round++);
      TwinImage x(d, 2, 3, 5, c, 0, 2, &random), y(d, 2, 3, 5, c, 0, 3, nullptr),
          add(d, 2, 3, 5, c, 0, 0, &random);
      Twin<float> gamma{size_t(c)}, beta{size_t(c)};
      fill(gamma, random.normals(size_t(c))), fill(beta, random.normals(size_t(c)));
      LayerNorm<Tensor> op;
      op.x = x.on_device, op.y = y.on_device;
      op.w.cout = c, op.w.k = op.w.cin = 1, op.w.w = gamma.data(), op.w.bias = beta.data();
      LayerNorm<Tensor> on_host = op;
      on_host.x = x.on_host, on_host.w.w = gamma.host(), on_host.w.bias = beta.host();
      if (round % 2) op.add = add.on_device, on_host.add = add.on_host;
      run(op, test_stream());
      for (int n = 0; n < 2; n++) {
        LayerNorm<Tensor> one = on_host;
        for (Tensor* t : {&one.x, &one.add})
          if (t->data) t->data = static_cast<float*>(t->data) + n * t->image;
        compare(y, reference::layer_norm(one), 1e-4, n);
      }
    }
  take_schedule(0);
}

TEST_CASE("window_attention on the device equals its definition", "[simt][attention]") {
  UPS_RANDOM(random);
  int round = 0, fast = 0;
  for (const AttentionShape& s : attention_shapes())
    for (DType d : kDtypes) {
      INFO("window " << s.window.h << "x" << s.window.w << " keys " << s.keys.h << " shift " << s.shift.h
                     << " d " << s.d << (s.cosine ? " cosine " : " ") << dtype_name(d));
      take_schedule(round++);
      const AttentionCase t = attention_case(random, s);
      const int h = t.op.x.h, w = t.op.x.w;
      TwinImage x(d, 1, h, w, t.op.x.c, 0, round % 2, &random),
          y(d, 1, h, w, t.op.y.c, 0, round % 3, nullptr);
      Twin<float> table(t.table.size()), scales(t.scales.size());
      fill(table, t.table), fill(scales, t.scales);
      WindowAttention<Tensor> op = t.op, on_host = t.op;
      op.x = x.on_device, op.y = y.on_device, on_host.x = x.on_host;
      op.bias.w = table.data();
      if (s.cosine) op.bias.bias = scales.data();
      const std::vector<double> expected = reference::window_attention(on_host);
      for (const WindowAttentionVariant& v : window_attention_variants()) {
        if (v.declines(op, test_device())) continue;
        INFO(v.name);
        y.memory->poison();
        v.launch(op, test_stream(), {});
        if (std::string(v.name) == "naive") {
          if (d == DType::f32 || round % 3 == 0) compare(y, expected, 1e-4);
          continue;
        }
        fast++;
        // q (times scale), and k where it is divided by its length, are rounded by half a unit: a logit is a
        // sum of d products of order 1 / sqrt(d), cosines up to 10; weights are rounded once more. Errors of
        // weights average over the keys: values of order 1, at 5 sigma.
        compare(y, expected, (s.cosine ? 20 : 8) * unit_of(d) + 1e-4);
      }
    }
  // Heads of 40 channels are beyond the fragments of mma.
  CHECK(fast == 2 * int(attention_shapes().size() - 1));
  take_schedule(0);
  const AttentionCase t = attention_case(random, attention_shapes()[0]);
  WindowAttention<Tensor> bad = t.op;
  bad.window = {3, 8};
  CHECK_THROWS_AS(run(bad, test_stream()), Error);
}
