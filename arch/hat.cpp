// HAT (Chen et al. 2023), its small, large and GAN forms: SwinIR's skeleton with windows of 16, a channel
// attention branch beside each window attention, and one overlapping cross-attention per group.
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "arch/swin_parts.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Hyper {
  int embed_dim, window, overlap;  // overlap: side of the patch of keys
  std::vector<LayerGroup> layers;
  bool patch_norm, convolutions;  // convolutions: one behind each group and one behind the body
  Normalisation normalisation;
  Reconstruction reconstruction;
};

constexpr float kConvScale = 0.01f;  // of the channel attention branch; no file tells
const Scope kRoot;

Value mlp(Graph& g, Value x, const Scope& w, Addend<Value> also = {}) {
  return g.mlp_sublayer(x, NormAt::before, w / "norm2", w / "mlp" / "fc1", w / "mlp" / "fc2", also);
}

// Hybrid attention block: x + attention(n) + 0.01 * CAB(n), n = LN x; then + MLP(LN x).   x: [h, w,
// embed_dim]
Value hybrid_block(Graph& g, Value x, const Scope& w, const Hyper& p, int heads, bool shifted) {
  const int s = shifted ? p.window / 2 : 0;
  const Value n = g.layer_norm(x, w / "norm1");
  const Scope attn = w / "attn", cab = w / "conv_block" / "cab", channel = cab / 3 / "attention";
  const Value c = g.conv2d(g.conv2d(n, cab / 0, {.act = Act::gelu}), cab / 2);
  x = g.channel_attention(c, channel / 1, channel / 3, {.scale = kConvScale, .add = plus(x)});
  x = g.attention_sublayer(n, NormAt::none,
                           {Scope(), attn / "qkv", attn / "proj", (attn / "bias").path(), ""},
                           {.window = {p.window, p.window}, .shift = {s, s}, .heads = heads}, x);
  return mlp(g, x, w);
}

// Overlapping cross-attention block: queries of a window, keys of a larger patch around it.
Value overlapping_block(Graph& g, Value x, const Scope& w, const Hyper& p, int heads, Addend<Value> also) {
  const Value n = g.layer_norm(x, w / "norm1");  // apart, because several windows read each of its pixels
  x = g.attention_sublayer(n, NormAt::none, {Scope(), w / "qkv", w / "proj", (w / "bias").path(), ""},
                           {.window = {p.window, p.window}, .keys = {p.overlap, p.overlap}, .heads = heads},
                           x);
  return mlp(g, x, w, also);
}

Value build(Graph& g, Value lr, const Hyper& p) {
  Value x = normalise(g, lr, p.normalisation);
  const Value first = g.conv2d(x, kRoot / "conv_first");
  x = p.patch_norm ? g.layer_norm(first, kRoot / "patch_embed" / "norm") : first;
  for (size_t l = 0; l < p.layers.size(); l++) {
    const Scope layer = kRoot / "layers" / int(l), group = layer / "residual_group";
    const auto [depth, heads] = p.layers[l];
    const Value group_in = x;
    for (int b = 0; b < depth; b++) x = hybrid_block(g, x, group / "blocks" / b, p, heads, b % 2 == 1);
    x = overlapping_block(g, x, group / "overlap_attn", p, heads,
                          p.convolutions ? Addend<Value>{} : plus(group_in));
    if (p.convolutions) x = g.conv2d(x, layer / "conv", {.add = plus(group_in)});
  }
  x = g.layer_norm(x, kRoot / "norm", p.convolutions ? Value{} : first);
  if (p.convolutions) x = g.conv2d(x, kRoot / "conv_after_body", {.add = plus(first)});
  return reconstruct(g, x, lr, p.reconstruction, p.normalisation);
}

const KeyRule kRule = {.has_all = {"conv_first.weight", "conv_last.weight",
                                   "layers.0.residual_group.blocks.0.conv_block.cab.0.weight",
                                   "layers.0.residual_group.blocks.0.conv_block.cab.3.attention.1.weight",
                                   "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
                                   "layers.0.residual_group.overlap_attn.relative_position_bias_table"}};

bool detect(const StateDict& w) { return kRule.matches(w); }

// The table of an overlapping attention in the order of kernels/ops.h: rows are key minus query. The file's
// index (ye - yq + window - overlap + 1) * side + .. is negative for most offsets and wraps around from the
// end.
std::vector<float> overlap_table(const StateDict& w, const std::string& key, const Hyper& p, int heads) {
  const int64_t side = p.window + p.overlap - 1, places = side * side;
  check(w.dim(key, 0) == places && w.dim(key, 1) == heads && w.at(key).count() == places * heads, Code::model,
        w.source, ": '", key, "' has ", w.at(key).count(), " values, expected ", places, " x ", heads);
  const std::vector<float> table = w.floats(key);
  std::vector<float> out(table.size());
  for (int64_t i = 0; i < places; i++) {
    const int64_t from = (i + places - (p.overlap - 2) * (side + 1) % places) % places;
    for (int h = 0; h < heads; h++) out[size_t(h * places + i)] = table[size_t(from * heads + h)];
  }
  return out;
}

// Window and key sides from the rows of both tables.
void read_windows(const StateDict& w, Hyper& p) {
  const Scope group = kRoot / "layers" / 0 / "residual_group";
  const int64_t own = w.dim((group / "blocks" / 0 / "attn" / kPositionTable).path(), 0);
  const int64_t other = w.dim((group / "overlap_attn" / kPositionTable).path(), 0);
  const int side = own < 65536 ? exact_root(int(own)) : 0, wide = other < 65536 ? exact_root(int(other)) : 0;
  p.window = (side + 1) / 2;
  p.overlap = wide - p.window + 1;
  check(side % 2 == 1 && p.window >= 2 && p.window <= 32 && p.overlap >= p.window && p.overlap <= 64 &&
            (p.overlap - p.window) % 2 == 0,
        Code::model, w.source, ": HAT: the relative position tables have ", own, " and ", other,
        " rows, expected (2 * window - 1)^2 and (window + overlap - 1)^2");
}

Network open(std::shared_ptr<const StateDict> w) {
  Derived derived(w);
  derived.drop_buffers(".attn_mask");
  Hyper p{};
  const ConvShape first = conv_shape(*w, "conv_first.weight");
  p.embed_dim = first.cout;
  p.patch_norm = w->has("patch_embed.norm.weight");
  p.convolutions = w->has("conv_after_body.weight");
  read_windows(*w, p);
  for (int l = 0; l < w->sequence_length("layers"); l++) {
    const Scope group = kRoot / "layers" / l / "residual_group", blocks = group / "blocks";
    const Scope overlap = group / "overlap_attn";
    const int depth = w->sequence_length(blocks.path());
    const int heads = checked_heads(*w, "HAT", w->dim((overlap / kPositionTable).path(), 1), p.embed_dim);
    for (int b = 0; b < depth; b++) derive_position_bias(derived, blocks / b / "attn", p.window, heads);
    const int64_t rows = p.window + p.overlap - 1;
    derived.set((overlap / "bias").path(), {heads, rows, rows},
                overlap_table(*w, (overlap / kPositionTable).path(), p, heads));
    derived.drop((overlap / kPositionTable).path());
    p.layers.push_back({depth, heads});
  }

  p.reconstruction = reconstruction_of(*w, first.cin);
  check(p.reconstruction.kind == Upsampler::pixelshuffle && p.reconstruction.out_c == first.cin, Code::model,
        w->source, ": HAT: ", first.cin, " channels in, ", p.reconstruction.out_c, " out by ",
        upsampler_name(p.reconstruction.kind), ", expected as many by pixelshuffle");
  p.normalisation = {first.cin, 1.0f};
  derive_normalisation(derived, p.normalisation, output_bias_key(p.reconstruction), 1);

  const int compressed = conv_shape(*w, "layers.0.residual_group.blocks.0.conv_block.cab.0.weight").cout;
  const Info info = {
      .family = "HAT",
      .variant = p.layers.size() >= 9            ? "HAT-L"
                 : compressed * 4 <= p.embed_dim ? "HAT-S"
                                                 : "HAT",
      .scale = p.reconstruction.scale,
      .in_c = first.cin,
      .out_c = first.cin,
      .multiple_of = p.window,
      .hyper = {{"embed_dim", p.embed_dim},
                {"num_layers", int(p.layers.size())},
                {"depth", p.layers[0].depth},
                {"num_heads", p.layers[0].heads},
                {"window_size", p.window},
                {"overlap_size", p.overlap},
                {"compressed", compressed}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, derived.finish(), derived.parameters());
}

}  // namespace

const Family kHat = {"HAT", "HAT, HAT-S, HAT-L, Real-HAT-GAN", detect, open};

}  // namespace ups
