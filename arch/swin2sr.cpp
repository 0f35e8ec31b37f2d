// Swin2SR (Conde et al. 2022): SwinIR with Swin v2 layers: cosine attention, a position bias that a small MLP
// gives, norms behind attention and MLP, and a 1x1 convolution in every patch embedding.
#include <algorithm>
#include <cmath>

#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "arch/swin_parts.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Hyper {
  int embed_dim, window;
  std::vector<LayerGroup> layers;
  bool patch_norm, auxiliary;  // auxiliary: pixelshuffle_aux, CompressedSR
  Normalisation normalisation;
  Reconstruction reconstruction;
};

const Scope kRoot;
const ConvOptions kLrelu = {.act = Act::lrelu, .slope = 0.01f};

// Swin v2 layer, residual post-norm: x + LN(attention x), then + LN(MLP x).     x: [h, w, embed_dim]
Value block(Graph& g, Value x, const Scope& w, const Hyper& p, int heads, bool shifted) {
  const int s = shifted ? p.window / 2 : 0;
  const Scope attn = w / "attn";
  x = g.attention_sublayer(
      x, NormAt::after,
      {w / "norm1", attn / "qkv", attn / "proj", (attn / "bias").path(), (attn / "scale").path()},
      {.window = {p.window, p.window}, .shift = {s, s}, .heads = heads, .cosine = true});
  return g.mlp_sublayer(x, NormAt::after, w / "norm2", w / "mlp" / "fc1", w / "mlp" / "fc2");
}

// CompressedSR: an RGB image in LR inside the network, and a bicubic bypass.
Value reconstruct_auxiliary(Graph& g, Value x, Value normalised, const Reconstruction& r) {
  x = g.conv2d(x, kRoot / "conv_before_upsample" / 0, kLrelu);
  x = g.conv2d(g.conv2d(x, kRoot / "conv_aux"), kRoot / "conv_after_aux" / 0, kLrelu);
  for (size_t i = 0; i < r.steps.size(); i++)
    x = g.conv2d(x, kRoot / "upsample" / int(2 * i), {.shuffle = r.steps[i]});
  const Value bicubic = g.upsample(normalised, r.scale, true);
  x = g.conv2d(bicubic, kRoot / "conv_bicubic", {.add = plus(x)});
  return g.conv2d(x, kRoot / "conv_last");
}

Value build(Graph& g, Value lr, const Hyper& p) {
  const Value normalised = normalise(g, lr, p.normalisation);
  const Value first = g.conv2d(normalised, kRoot / "conv_first");
  Value x = g.conv2d(first, kRoot / "patch_embed" / "proj");
  if (p.patch_norm) x = g.layer_norm(x, kRoot / "patch_embed" / "norm");
  for (size_t l = 0; l < p.layers.size(); l++) {
    const Scope layer = kRoot / "layers" / int(l);
    const auto [depth, heads] = p.layers[l];
    const Value group_in = x;
    for (int b = 0; b < depth; b++)
      x = block(g, x, layer / "residual_group" / "blocks" / b, p, heads, b % 2 == 1);
    x = group_convolution(g, x, layer / "conv", {});
    x = g.conv2d(x, layer / "patch_embed" / "proj", {.add = plus(group_in)});
  }
  x = g.layer_norm(x, kRoot / "norm");
  x = group_convolution(g, x, kRoot / "conv_after_body", first);
  if (p.auxiliary) return reconstruct_auxiliary(g, x, normalised, p.reconstruction);
  return reconstruct(g, x, lr, p.reconstruction, p.normalisation);
}

const KeyRule kRule = {.has_all = {"layers.0.residual_group.blocks.0.norm1.weight", "patch_embed.proj.weight",
                                   "conv_first.weight", "layers.0.residual_group.blocks.0.attn.logit_scale",
                                   "layers.0.residual_group.blocks.0.attn.cpb_mlp.0.weight"}};

bool detect(const StateDict& w) { return kRule.matches(w); }

// Continuous position bias: 16 * sigmoid(MLP(t)), t the log-spaced offset of the query from the key; here in
// the order of kernels/ops.h, which is key minus query.
std::vector<float> position_bias(const StateDict& w, const Scope& attn, int window, int heads) {
  const Scope mlp = attn / "cpb_mlp";
  const std::string first_key = (mlp / 0).path() + ".weight", second_key = (mlp / 2).path() + ".weight";
  const int64_t hidden = w.dim(first_key, 0);
  check(w.dim(first_key, 1) == 2 && w.dim(second_key, 0) == heads && w.dim(second_key, 1) == hidden &&
            hidden <= 65536,
        Code::model, w.source, ": Swin2SR: '", mlp.path(), "' goes from ", w.dim(first_key, 1), " over ",
        hidden, " and ", w.dim(second_key, 1), " to ", w.dim(second_key, 0), ", expected from 2 to ", heads);
  const std::vector<float> w0 = w.floats(first_key), b0 = w.floats((mlp / 0).path() + ".bias"),
                           w2 = w.floats(second_key);
  check(int64_t(b0.size()) == hidden, Code::model, w.source, ": Swin2SR: '", mlp.path(), ".0.bias' has ",
        b0.size(), " values, expected ", hidden);
  const auto spaced = [&](int offset) {
    const double v = 8.0 * offset / (window - 1);
    return std::copysign(std::log2(std::fabs(v) + 1) / 3, v);
  };
  std::vector<float> table;
  for (int h = 0; h < heads; h++)
    for (int dy = window - 1; dy > -window; dy--)
      for (int dx = window - 1; dx > -window; dx--) {
        double sum = 0;
        for (int64_t i = 0; i < hidden; i++) {
          const double v =
              spaced(dy) * w0[size_t(2 * i)] + spaced(dx) * w0[size_t(2 * i + 1)] + b0[size_t(i)];
          sum += std::max(v, 0.0) * w2[size_t(h * hidden + i)];
        }
        table.push_back(float(16 / (1 + std::exp(-sum))));
      }
  return table;
}

// Replaces what the file holds for one attention by what the operator reads.
void derive_attention(Derived& d, const Scope& attn, int window, int heads, int embed_dim) {
  const StateDict& w = d.file();
  const int64_t rows = 2 * window - 1;
  d.expect_room(heads * rows * rows);
  d.set((attn / "bias").path(), {heads, rows, rows}, position_bias(w, attn, window, heads));
  for (const char* key : {"cpb_mlp.0.weight", "cpb_mlp.0.bias", "cpb_mlp.2.weight"})
    d.drop((attn / key).path());

  const std::string scale_key = (attn / "logit_scale").path();
  std::vector<float> scale = w.floats(scale_key);
  check(int64_t(scale.size()) == heads, Code::model, w.source, ": '", scale_key, "' has ", scale.size(),
        " values, expected ", heads);
  for (float& s : scale) s = float(std::exp(std::min(double(s), std::log(100.0))));
  d.set((attn / "scale").path(), {heads}, scale);
  d.drop(scale_key);

  const std::string q_key = (attn / "q_bias").path(), v_key = (attn / "v_bias").path();
  if (!w.has(q_key) && !w.has(v_key)) return;
  std::vector<float> bias = w.floats(q_key);
  const std::vector<float> v = w.floats(v_key);
  check(int(bias.size()) == embed_dim && int(v.size()) == embed_dim, Code::model, w.source, ": '", q_key,
        "' and v_bias have ", bias.size(), " and ", v.size(), " values, expected ", embed_dim);
  bias.resize(size_t(2) * embed_dim, 0);  // keys have none
  bias.insert(bias.end(), v.begin(), v.end());
  d.set((attn / "qkv" / "bias").path(), {3 * embed_dim}, bias);
  d.drop(q_key), d.drop(v_key);
}

// The side of the windows, from a buffer that is either [side^2, side^2] or [1, 2 side - 1, 2 side - 1, 2].
int window_of(const StateDict& w) {
  const Scope attn = kRoot / "layers" / 0 / "residual_group" / "blocks" / 0 / "attn";
  const std::string index = (attn / "relative_position_index").path(),
                    coordinates = (attn / "relative_coords_table").path();
  const int64_t pixels = w.has(index) ? w.dim(index, 0) : 0;
  const int64_t window =
      w.has(index) ? (pixels <= 65536 ? exact_root(int(pixels)) : 0) : (w.dim(coordinates, 1) + 1) / 2;
  check(window >= 2 && window <= 64, Code::model, w.source, ": Swin2SR: '", index, "' says windows of ",
        window, ", expected 2 to 64");
  return int(window);
}

Network open(std::shared_ptr<const StateDict> w) {
  check(!w->has("conv_after_body_hf.weight"), Code::model, w->source,
        ": Swin2SR with a high-frequency branch (pixelshuffle_hf) is not supported");
  Derived derived(w);
  derived.drop_buffers(".attn_mask");
  derived.drop_buffers(".relative_coords_table");
  Hyper p{};
  const ConvShape first = conv_shape(*w, "conv_first.weight");
  p.embed_dim = first.cout;
  p.window = window_of(*w);
  p.patch_norm = w->has("patch_embed.norm.weight");
  p.auxiliary = w->has("conv_bicubic.weight");
  expect_conv(*w, "patch_embed.proj.weight", {p.embed_dim, p.embed_dim, 1});
  for (int l = 0; l < w->sequence_length("layers"); l++) {
    const Scope blocks = kRoot / "layers" / l / "residual_group" / "blocks";
    const int depth = w->sequence_length(blocks.path());
    const int heads =
        checked_heads(*w, "Swin2SR", w->dim((blocks / 0 / "attn" / "logit_scale").path(), 0), p.embed_dim);
    for (int b = 0; b < depth; b++)
      derive_attention(derived, blocks / b / "attn", p.window, heads, p.embed_dim);
    p.layers.push_back({depth, heads});
  }

  p.reconstruction = reconstruction_of(*w, first.cin);
  check(p.reconstruction.out_c == first.cin, Code::model, w->source, ": Swin2SR: ", first.cin,
        " channels in, ", p.reconstruction.out_c, " out, expected as many");
  p.normalisation = {first.cin, p.window == 7 ? 255.0f : 1.0f};
  derive_normalisation(derived, p.normalisation, output_bias_key(p.reconstruction),
                       output_group(p.reconstruction));
  check(!p.auxiliary || p.normalisation.range == 1, Code::model, w->source,
        ": Swin2SR: pixelshuffle_aux with windows of 7 is not supported");

  const Info info = {
      .family = "Swin2SR",
      .variant = p.auxiliary ? "pixelshuffle_aux" : upsampler_name(p.reconstruction.kind),
      .scale = p.reconstruction.scale,
      .in_c = first.cin,
      .out_c = first.cin,
      .multiple_of = p.window,
      .hyper = {{"embed_dim", p.embed_dim},
                {"num_layers", int(p.layers.size())},
                {"depth", p.layers[0].depth},
                {"num_heads", p.layers[0].heads},
                {"window_size", p.window}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, derived.finish(), derived.parameters());
}

}  // namespace

const Family kSwin2sr = {"Swin2SR", "Swin2SR: classical, lightweight, real-world, compressed, JPEG", detect,
                         open};

}  // namespace ups
