// SPAN (Wan et al. 2023): six blocks whose output gates itself, without parameters of an attention. Trained
// with three convolutions and a skip ("Conv3XC") in the place of each 3x3, which collapse into one exactly.
#include "arch/colour_range.h"
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "kernels/error.h"

namespace ups {

namespace {

constexpr int kBlocks = 6;

struct Hyper {
  int num_feat, scale;
  ColourRange range;
};

// lr: [h, w, in_c]
Value build(Graph& g, Value lr, const Hyper& p) {
  const Scope root;
  const Value first = g.conv2d(shift_colours(g, lr, p.range), root / "conv_1");  // [h, w, num_feat]
  Value x = first, after_first_block, a1;
  for (int i = 1; i <= kBlocks; i++) {
    const Scope block = Scope("block_" + std::to_string(i));
    a1 = g.conv2d(x, block / "c1_r", {.act = Act::silu});
    const Value a2 = g.conv2d(a1, block / "c2_r", {.act = Act::silu});
    const Value o3 = g.conv2d(a2, block / "c3_r");
    x = g.gate(x, o3, {.sigmoid = true, .mix = 1, .shift = -0.5f});  // (x + o3) * (sigmoid(o3) - 0.5)
    if (i == 1) after_first_block = x;
  }
  const Value last = g.conv2d(x, root / "conv_2");
  // a1 of the last block: the reference concatenates a tensor that its in-place activation has changed.
  x = g.conv2d(g.concat({first, last, after_first_block, a1}), root / "conv_cat");
  return g.conv2d(x, root / "upsampler" / 0, {.shuffle = p.scale});
}

const KeyRule kRule = {.has_all = {"conv_cat.weight", "upsampler.0.weight"},
                       .has_any = {"conv_1.sk.weight", "conv_1.eval_conv.weight"}};

bool detect(const StateDict& w) {
  return kRule.matches(w) && (w.has("block_1.c1_r.sk.weight") || w.has("block_1.c1_r.eval_conv.weight"));
}

// [n, k] x [k, m] in double
std::vector<double> product_of(const std::vector<double>& a, const std::vector<double>& b, int n, int k,
                               int m) {
  std::vector<double> c(size_t(n) * m);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < k; j++) {
      const double factor = a[size_t(i) * k + j];
      const double* from = &b[size_t(j) * m];
      double* to = &c[size_t(i) * m];
      for (int l = 0; l < m; l++) to[l] += factor * from[l];
    }
  return c;
}

std::vector<double> doubles(const StateDict& w, const std::string& key, int64_t count) {
  check(w.at(key).count() == count, Code::model, w.source, ": weight '", key, "' has ", w.at(key).count(),
        " values, expected ", count);
  const std::vector<float> v = w.floats(key);
  return {v.begin(), v.end()};
}

// Conv3XC at `at`: w3 * (w2 * (w1 x + b1) + b2) + b3 + sk x + b_sk as one 3x3 convolution `at`.weight. The
// zero padding comes first in training, so this holds at borders, too. The stored eval_conv may be older
// than the rest: it counts only where it is alone.
void collapse(Derived& derived, const Scope& at) {
  const StateDict& w = derived.file();
  const std::string name = at.path();
  const std::string eval = name + ".eval_conv", skip = name + ".sk";
  if (!w.has(skip + ".weight")) {
    const ConvShape s = conv_shape(w, eval + ".weight");
    derived.set(name + ".weight", {s.cout, s.cin, s.k, s.k}, w.floats(eval + ".weight"));
    derived.set(name + ".bias", {s.cout}, w.floats(eval + ".bias"));
  } else {
    const std::string c1 = name + ".conv.0", c2 = name + ".conv.1", c3 = name + ".conv.2";
    const ConvShape sk = conv_shape(w, skip + ".weight"), s1 = conv_shape(w, c1 + ".weight"),
                    s2 = conv_shape(w, c2 + ".weight"), s3 = conv_shape(w, c3 + ".weight");
    check(sk.k == 1 && s1.k == 1 && s2.k == 3 && s3.k == 1 && s1.cin == sk.cin && s2.cin == s1.cout &&
              s3.cin == s2.cout && s3.cout == sk.cout,
          Code::model, w.source, ": the convolutions of '", name, "' do not fit each other");
    const int in = sk.cin, out = sk.cout, wide_in = s1.cout, wide_out = s2.cout;
    derived.expect_room(int64_t(9) * wide_out * in);
    derived.expect_room(int64_t(9) * out * in);
    // w2 [m, n, 9] as [n] x [m, 9] first: T [m, 9, i], then W [o, 9, i].
    const auto w1 = doubles(w, c1 + ".weight", int64_t(wide_in) * in),
               w3 = doubles(w, c3 + ".weight", int64_t(out) * wide_out);
    std::vector<double> w2(size_t(wide_out) * 9 * wide_in);  // [m, tap, n]
    const std::vector<float> w2_file = w.floats(c2 + ".weight");
    for (int m = 0; m < wide_out; m++)
      for (int n = 0; n < wide_in; n++)
        for (int tap = 0; tap < 9; tap++)
          w2[(size_t(m) * 9 + tap) * wide_in + n] = w2_file[(size_t(m) * wide_in + n) * 9 + tap];
    const auto t = product_of(w2, w1, wide_out * 9, wide_in, in);
    const auto full = product_of(w3, t, out, wide_out, 9 * in);  // [o, tap, i]
    const auto w_skip = doubles(w, skip + ".weight", int64_t(out) * in);
    std::vector<float> weight(size_t(out) * in * 9), bias(out);
    for (int o = 0; o < out; o++)
      for (int i = 0; i < in; i++)
        for (int tap = 0; tap < 9; tap++)
          weight[(size_t(o) * in + i) * 9 + tap] =
              float(full[(size_t(o) * 9 + tap) * in + i] + (tap == 4 ? w_skip[size_t(o) * in + i] : 0));
    const auto b1 = doubles(w, c1 + ".bias", wide_in), b3 = doubles(w, c3 + ".bias", out),
               b_skip = doubles(w, skip + ".bias", out);
    auto b2 = doubles(w, c2 + ".bias", wide_out);
    for (int m = 0; m < wide_out; m++)
      for (int tap = 0; tap < 9; tap++)
        for (int n = 0; n < wide_in; n++) b2[m] += w2[(size_t(m) * 9 + tap) * wide_in + n] * b1[n];
    const auto b = product_of(w3, b2, out, wide_out, 1);
    for (int o = 0; o < out; o++) bias[o] = float(b[o] + b3[o] + b_skip[o]);
    derived.set(name + ".weight", {out, in, 3, 3}, std::move(weight));
    derived.set(name + ".bias", {out}, std::move(bias));
  }
  for (const std::string& layer : {eval, skip, name + ".conv.0", name + ".conv.1", name + ".conv.2"})
    for (const char* leaf : {".weight", ".bias"})
      if (w.has(layer + leaf)) derived.drop(layer + leaf);
}

Network open(std::shared_ptr<const StateDict> w) {
  const Scope root;
  Derived derived(w);
  const bool training = w->has("conv_1.sk.weight");
  const ConvShape first = conv_shape(*w, training ? "conv_1.sk.weight" : "conv_1.eval_conv.weight");
  const ConvShape last = conv_shape(*w, "upsampler.0.weight");
  Hyper p{};
  p.num_feat = first.cout;
  int out_c = 0;
  for (int c : {first.cin, 3, 4, 1})  // as many colours as came in is likeliest
    if (!out_c && last.cout % c == 0 && exact_root(last.cout / c)) out_c = c;
  check(out_c > 0, Code::model, w->source, ": SPAN: the last convolution has ", last.cout,
        " outputs, expected ", first.cin, " times a square (a pixel shuffle follows)");
  p.scale = exact_root(last.cout / out_c);
  // The output is not shifted back: the network learned to give 0..1.
  if (w->has("no_norm"))
    derived.drop("no_norm");
  else if (first.cin == 3)
    p.range = div2k_range();
  check(p.range.present || w->has("no_norm"), Code::model, w->source, ": SPAN: takes ", first.cin,
        " channels with normalisation, expected 3");
  collapse(derived, root / "conv_1");
  collapse(derived, root / "conv_2");
  for (int i = 1; i <= kBlocks; i++)
    for (const char* layer : {"c1_r", "c2_r", "c3_r"})
      collapse(derived, Scope("block_" + std::to_string(i)) / layer);

  const Info info = {
      .family = "SPAN",
      .variant = std::string("SPAN") + (training ? "" : ", inference convolutions only") +
                 (p.range.present ? "" : ", no normalisation"),
      .scale = p.scale,
      .in_c = first.cin,
      .out_c = out_c,
      .hyper = {{"num_feat", p.num_feat}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, derived.finish());
}

}  // namespace

const Family kSpan = {"SPAN", "SPAN, training form and inference form", detect, open};

}  // namespace ups
