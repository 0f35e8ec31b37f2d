// DAT (Chen et al. 2023): blocks that attend by turns over space, in two halves of the channels with upright
// and lying rectangular windows, and over channels; each beside a depthwise convolution.
#include "arch/dat_weights.h"
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "arch/swin_parts.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Hyper {
  int embed_dim;
  Extent split;  // window of the first half of the channels; the second has it turned
  std::vector<int> depths;
  int num_heads, hidden;
  Normalisation normalisation;
  Reconstruction reconstruction;
};

const Scope kRoot;

// Windows are shifted in every fourth block, later in even groups than in odd ones.
bool shifted(int group, int block) {
  return group % 2 == 0 ? block > 0 && (block - 2) % 4 == 0 : block % 4 == 0;
}

// x + attention(n), n = LN x. x: [h, w, embed_dim]
Value attention(Graph& g, Value x, const Scope& w, const Hyper& p, int group, int block) {
  const Scope attn = w / "attn", channel = attn / "channel_interaction";
  const Value n = g.layer_norm(x, w / "norm1");
  const Value qk = g.linear(n, attn / "qk"), v = g.linear(n, attn / "v");
  const Value conv = g.depthwise_conv2d(v, attn / "dwconv" / 0, Act::gelu);
  const Value qkv = g.concat({qk, v});
  const bool spatial = block % 2 == 0;
  Value attended;
  if (spatial) {
    std::vector<Value> halves;
    for (int half = 0; half < 2; half++) {
      const Scope bias = attn / "attns" / half / "bias";
      const Extent window = half ? Extent{p.split.w, p.split.h} : p.split;
      AttentionOptions o{.window = window, .heads = int(g.weights().dim(bias.path(), 0))};
      o.width = p.embed_dim / 2, o.first = half * p.embed_dim / 2;
      o.pad = std::max(p.split.h, p.split.w);
      if (shifted(group, block)) o.shift = {window.h / 2, window.w / 2};
      halves.push_back(g.window_attention(qkv, bias.path(), "", o));
    }
    attended = g.concat(halves);
  } else {
    attended = g.cross_covariance_attention(qkv, (attn / "temperature").path());
  }
  // Adaptive interaction: the attention decides about the convolution and the other way round, once per
  // channel from means over the image and once per pixel.
  const Value whole = spatial ? conv : attended, local = spatial ? attended : conv;
  const Value by_channel =
      g.channel_attention(local, channel / 1, channel / 4, {.pool = whole, .act = Act::gelu});
  const Value map = g.conv2d(g.conv2d(local, attn / "spatial_interaction" / 0, {.act = Act::gelu}),
                             attn / "spatial_interaction" / 3);  // [h, w, 1]
  const Value y = g.gate(whole, map, {.sigmoid = true, .add = plus(by_channel)});
  return g.linear(y, attn / "proj", {.add = plus(x)});
}

// x + fc2(h1 * depthwise(LN h2)), h1 | h2 = gelu(fc1(LN x))
Value feed_forward(Graph& g, Value x, const Scope& w) {
  const Scope ffn = w / "ffn";
  const Value n = g.layer_norm(x, w / "norm2");
  const Value h1 = g.linear(n, ffn / "fc1" / 0, {.act = Act::gelu});
  const Value h2 = g.layer_norm(g.linear(n, ffn / "fc1" / 1, {.act = Act::gelu}), ffn / "sg" / "norm");
  const Value gated = g.depthwise_conv2d(h2, ffn / "sg" / "conv", Act::none, h1);
  return g.linear(gated, ffn / "fc2", {.add = plus(x)});
}

Value build(Graph& g, Value lr, const Hyper& p) {
  const Value first = g.conv2d(normalise(g, lr, p.normalisation), kRoot / "conv_first");
  Value x = g.layer_norm(first, kRoot / "before_RG" / 1);
  for (int l = 0; l < int(p.depths.size()); l++) {
    const Scope layer = kRoot / "layers" / l;
    const Value group_in = x;
    for (int b = 0; b < p.depths[l]; b++) {
      const Scope block = layer / "blocks" / b;
      x = feed_forward(g, attention(g, x, block, p, l, b), block);
    }
    x = group_convolution(g, x, layer / "conv", group_in);
  }
  x = group_convolution(g, g.layer_norm(x, kRoot / "norm"), kRoot / "conv_after_body", first);
  return reconstruct(g, x, lr, p.reconstruction, p.normalisation);
}

const KeyRule kRule = {
    .has_all = {"conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.ffn.sg.conv.weight",
                "layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight",
                "layers.0.blocks.0.attn.dwconv.1.running_mean", "norm.weight"},
    .has_any = {"conv_after_body.weight", "conv_after_body.4.weight"}};

bool detect(const StateDict& w) { return kRule.matches(w); }

Network open(std::shared_ptr<const StateDict> w) {
  Derived derived(w);
  for (const char* buffer : {".attn_mask_0", ".attn_mask_1", ".running_mean", ".running_var", ".rpe_biases"})
    derived.drop_buffers(buffer);
  Hyper p{};
  const ConvShape first = conv_shape(*w, "conv_first.weight");
  p.embed_dim = first.cout;
  check(p.embed_dim % 2 == 0, Code::model, w->source, ": DAT: got ", p.embed_dim,
        " channels, expected an even number");
  p.split = dat_split(*w, "layers.0.blocks.0.attn.attns.0");
  const Scope block0 = kRoot / "layers" / 0 / "blocks" / 0;
  p.hidden = int(w->dim((block0 / "ffn" / "fc1").path() + ".weight", 0));
  for (int l = 0; l < w->sequence_length("layers"); l++) {
    const Scope blocks = kRoot / "layers" / l / "blocks";
    p.depths.push_back(w->sequence_length(blocks.path()));
    for (int b = 0; b < p.depths.back(); b++)
      derive_dat_block(derived, blocks / b, p.embed_dim, b % 2 == 0, p.split);
  }
  // No more than 1024, as was checked.
  p.num_heads = 2 * int(w->dim((block0 / "attn" / "attns" / 0 / "pos" / "pos3" / 2).path() + ".weight", 0));
  p.reconstruction = reconstruction_of(*w, first.cin);
  check((p.reconstruction.kind == Upsampler::pixelshuffle || p.reconstruction.kind == Upsampler::direct) &&
            p.reconstruction.out_c == first.cin,
        Code::model, w->source, ": DAT: ", first.cin, " channels in, ", p.reconstruction.out_c, " out by ",
        upsampler_name(p.reconstruction.kind), ", expected as many by pixelshuffle");
  p.normalisation = {first.cin, 1.0f};
  derive_normalisation(derived, p.normalisation, output_bias_key(p.reconstruction),
                       output_group(p.reconstruction));

  const bool direct = p.reconstruction.kind == Upsampler::direct;
  const Info info = {
      .family = "DAT",
      .variant = direct                        ? "DAT-light"
                 : p.split == Extent{8, 16}    ? "DAT-S"
                 : p.hidden == 2 * p.embed_dim ? "DAT-2"
                                               : "DAT",
      .scale = p.reconstruction.scale,
      .in_c = first.cin,
      .out_c = first.cin,
      .hyper = {{"embed_dim", p.embed_dim},
                {"num_layers", int(p.depths.size())},
                {"depth", p.depths[0]},
                {"num_heads", p.num_heads},
                {"hidden", p.hidden},
                {"split_h", p.split.h},
                {"split_w", p.split.w}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, derived.finish(), derived.parameters());
}

}  // namespace

const Family kDat = {"DAT", "DAT, DAT-S, DAT-2, DAT-light", detect, open};

}  // namespace ups
