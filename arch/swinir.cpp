// SwinIR (Liang et al. 2021): residual Swin transformer blocks (RSTB) between a convolution and one of four
// reconstructions: classical and lightweight super-resolution, real-world, denoising and JPEG artefacts.
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "arch/swin_parts.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Hyper {
  int embed_dim, window, unshuffle;
  std::vector<LayerGroup> layers;
  bool patch_norm;
  Normalisation normalisation;
  Reconstruction reconstruction;
};

const Scope kRoot;

Scope block_scope(int layer, int block) {
  return kRoot / "layers" / layer / "residual_group" / "blocks" / block;
}

// Swin transformer layer, pre-norm: x + attention(LN x), then + MLP(LN x).       x: [h, w, embed_dim]
// Every second one attends in windows shifted by half their size.
Value block(Graph& g, Value x, const Scope& w, const Hyper& p, int heads, bool shifted) {
  const int s = shifted ? p.window / 2 : 0;
  const Scope attn = w / "attn", mlp = w / "mlp";
  x = g.attention_sublayer(x, NormAt::before,
                           {w / "norm1", attn / "qkv", attn / "proj", (attn / "bias").path(), ""},
                           {.window = {p.window, p.window}, .shift = {s, s}, .heads = heads});
  return g.mlp_sublayer(x, NormAt::before, w / "norm2", mlp / "fc1", mlp / "fc2");
}

Value build(Graph& g, Value lr, const Hyper& p) {
  Value x = normalise(g, lr, p.normalisation);
  if (p.unshuffle > 1) x = g.pixel_unshuffle(x, p.unshuffle);
  const Value first = g.conv2d(x, kRoot / (p.unshuffle > 1 ? "conv_first.1" : "conv_first"));
  x = p.patch_norm ? g.layer_norm(first, kRoot / "patch_embed" / "norm") : first;
  for (size_t l = 0; l < p.layers.size(); l++) {
    const Value group_in = x;
    for (int b = 0; b < p.layers[l].depth; b++)
      x = block(g, x, block_scope(int(l), b), p, p.layers[l].heads, b % 2 == 1);
    x = group_convolution(g, x, kRoot / "layers" / int(l) / "conv", group_in);
  }
  x = g.layer_norm(x, kRoot / "norm");
  x = group_convolution(g, x, kRoot / "conv_after_body", first);
  return reconstruct(g, x, lr, p.reconstruction, p.normalisation);
}

const KeyRule kRule = {.has_all = {"layers.0.residual_group.blocks.0.norm1.weight",
                                   "layers.0.residual_group.blocks.0.mlp.fc1.bias",
                                   "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"},
                       .has_any = {"conv_first.weight", "conv_first.1.weight"},
                       .has_none = {"patch_embed.proj.weight", "relative_position_index_SA"}};

bool detect(const StateDict& w) { return kRule.matches(w); }

Network open(std::shared_ptr<const StateDict> w) {
  Derived derived(w);
  derived.drop_buffers(".attn_mask");

  Hyper p{};
  const bool unshuffled = w->has("conv_first.1.weight");
  const ConvShape first = conv_shape(*w, unshuffled ? "conv_first.1.weight" : "conv_first.weight");
  p.embed_dim = first.cout;
  p.unshuffle = unshuffled ? exact_root(first.cin / 3) : 1;
  check(p.unshuffle >= 1 && p.unshuffle <= 16 && (!unshuffled || first.cin == 3 * p.unshuffle * p.unshuffle),
        Code::model, w->source, ": SwinIR: 'conv_first.1.weight' has ", first.cin,
        " inputs, expected 3 times a square (a pixel-unshuffle of RGB)");
  const int in_c = unshuffled ? 3 : first.cin;
  p.patch_norm = w->has("patch_embed.norm.weight");

  const auto table = [](const Scope& block) { return (block / "attn" / kPositionTable).path(); };
  const int places = int(w->dim(table(block_scope(0, 0)), 0)), side = exact_root(places);
  p.window = (side + 1) / 2;
  check(side % 2 == 1 && p.window >= 2 && p.window <= 64, Code::model, w->source,
        ": SwinIR: the relative position table has ", places, " rows, expected (2 * window - 1)^2");
  for (int l = 0; l < w->sequence_length("layers"); l++) {
    const Scope blocks = kRoot / "layers" / l / "residual_group" / "blocks";
    const int depth = w->sequence_length(blocks.path());
    const int heads = checked_heads(*w, "SwinIR", w->dim(table(blocks / 0), 1), p.embed_dim);
    for (int b = 0; b < depth; b++) derive_position_bias(derived, blocks / b / "attn", p.window, heads);
    p.layers.push_back({depth, heads});
  }

  p.reconstruction = reconstruction_of(*w, in_c);
  const int scale = p.reconstruction.scale, out_c = p.reconstruction.out_c;
  check(scale % p.unshuffle == 0 && out_c == in_c, Code::model, w->source, ": SwinIR: ", in_c,
        " channels in, ", out_c, " out, upsampling by ", scale, " behind a pixel-unshuffle by ", p.unshuffle,
        ", expected as many channels and a whole scale");
  // Only the JPEG models have windows of 7, and only they were trained on 0..255.
  p.normalisation = {in_c, p.window == 7 ? 255.0f : 1.0f};
  derive_normalisation(derived, p.normalisation, output_bias_key(p.reconstruction),
                       output_group(p.reconstruction));

  const bool three = three_convolutions(*w, kRoot / "conv_after_body");
  const Info info = {
      .family = "SwinIR",
      .variant = std::string(upsampler_name(p.reconstruction.kind)) + (three ? ", 3conv" : ", 1conv") +
                 (unshuffled ? ", pixel-unshuffle" : ""),
      .scale = scale / p.unshuffle,
      .in_c = in_c,
      .out_c = out_c,
      .multiple_of = p.window * p.unshuffle,
      .hyper = {{"embed_dim", p.embed_dim},
                {"num_layers", int(p.layers.size())},
                {"depth", p.layers[0].depth},
                {"num_heads", p.layers[0].heads},
                {"window_size", p.window},
                {"unshuffle", p.unshuffle}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, derived.finish(), derived.parameters());
}

}  // namespace

const Family kSwinir = {"SwinIR", "SwinIR: classical, lightweight, real-world, denoising, JPEG", detect,
                        open};

}  // namespace ups
