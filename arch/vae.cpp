// AutoencoderKL: the VAE of Stable Diffusion (Rombach et al. 2022), encoder and decoder.
//
// Residual blocks of GroupNorm, SiLU and 3x3 convolutions at four resolutions; one head of attention over all
// pixels at the lowest. The number of levels, blocks and channels follows from the file.
#include "arch/vae.h"

#include <cmath>

#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "kernels/error.h"

namespace ups {
namespace {

constexpr int kGroups = 32;
constexpr float kEps = 1e-6f;

// Where the parts are, in one of the two ways to name them.
struct Names {
  std::string prefix;  // "", "first_stage_model.", "vae."
  bool ldm = true;

  Scope side(const char* name) const { return Scope(prefix + name); }
  // Level `level` of `count`, counted from the highest resolution.
  Scope level(const char* s, int level, int count) const {
    const bool up = s[0] == 'd';
    if (ldm) return side(s) / (up ? "up" : "down") / level;
    return side(s) / (up ? "up_blocks" : "down_blocks") / (up ? count - 1 - level : level);
  }
  Scope blocks(const Scope& level) const { return level / (ldm ? "block" : "resnets"); }
  Scope resample(const Scope& level, bool up) const {
    return ldm ? level / (up ? "upsample" : "downsample") / "conv"
               : level / (up ? "upsamplers" : "downsamplers") / 0 / "conv";
  }
  Scope middle(const char* s, int i) const {
    return ldm ? (side(s) / "mid" / "block_") + (i + 1) : side(s) / "mid_block" / "resnets" / i;
  }
  Scope attention(const char* s) const {
    return ldm ? side(s) / "mid" / "attn_1" : side(s) / "mid_block" / "attentions" / 0;
  }
  const char* shortcut() const { return ldm ? "nin_shortcut" : "conv_shortcut"; }
  const char* norm_out() const { return ldm ? "norm_out" : "conv_norm_out"; }
};

std::string weight_of(const Scope& s) { return (s / "weight").path(); }

constexpr const char* kPrefixes[] = {"first_stage_model.", "vae.", ""};

std::optional<Names> names_of(const StateDict& w) {
  for (const char* prefix : kPrefixes)
    for (const char* s : {"decoder", "encoder"})
      for (bool ldm : {true, false}) {
        const Names n{prefix, ldm};
        if (w.has(weight_of(n.middle(s, 0) / "conv1")) && w.has(weight_of(n.side(s) / "conv_in"))) return n;
      }
  return {};
}

// y = x + conv2(silu(norm2(conv1(silu(norm1(x))))), the first x by a 1x1 convolution when channels change
Value residual(Graph& g, Value x, const Names& n, const Scope& at) {
  Value h = g.conv2d(g.group_norm(x, at / "norm1", kGroups, kEps, Act::silu), at / "conv1");
  h = g.group_norm(h, at / "norm2", kGroups, kEps, Act::silu);
  const Scope shortcut = at / n.shortcut();
  if (g.weights().has(weight_of(shortcut)))
    return g.conv2d(h, at / "conv2", {.shortcut = x, .shortcut_weights = shortcut});
  return g.conv2d(h, at / "conv2", {.add = plus(x)});
}

// The projections are 1x1 convolutions or linear layers, and diffusers has renamed them once.
Value attend(Graph& g, Value x, const Names& n, const Scope& at) {
  const bool renamed = !n.ldm && g.weights().has(weight_of(at / "to_q"));
  auto key = [&](const char* ldm, const char* now, const char* before) {
    return n.ldm ? at / ldm : renamed ? at / now : at / before;
  };
  auto project = [&](Value v, const Scope& w, const ConvOptions& o = {}) {
    return g.weights().at(weight_of(w)).shape.size() == 2 ? g.linear(v, w, o) : g.conv2d(v, w, o);
  };
  const Value norm = g.group_norm(x, at / (n.ldm ? "norm" : "group_norm"), kGroups, kEps, Act::none);
  const Value q = project(norm, key("q", "to_q", "query")), k = project(norm, key("k", "to_k", "key")),
              v = project(norm, key("v", "to_v", "value"));
  const Value y = g.attention(q, k, v, float(1 / std::sqrt(double(g.channels(q)))));
  const Scope out = n.ldm ? at / "proj_out" : renamed ? at / "to_out" / 0 : at / "proj_attn";
  return project(y, out, {.add = plus(x)});
}

Value middle(Graph& g, Value x, const Names& n, const char* s) {
  x = residual(g, x, n, n.middle(s, 0));
  const Scope at = n.attention(s);
  if (g.weights().has(weight_of(at / (n.ldm ? "norm" : "group_norm")))) x = attend(g, x, n, at);
  return residual(g, x, n, n.middle(s, 1));
}

Value finish(Graph& g, Value x, const Names& n, const char* s) {
  return g.conv2d(g.group_norm(x, n.side(s) / n.norm_out(), kGroups, kEps, Act::silu),
                  n.side(s) / "conv_out");
}

// x: picture in -1..1 [h, w, 3] -> mean and log-variance [h/8, w/8, 2z]
Value encode(Graph& g, Value x, const Names& n, int levels) {
  g.set_rounding(Rounding::down);
  x = g.conv2d(x, n.side("encoder") / "conv_in");
  for (int i = 0; i < levels; i++) {
    const Scope level = n.level("encoder", i, levels);
    const int blocks = g.weights().sequence_length(n.blocks(level).path());
    for (int j = 0; j < blocks; j++) x = residual(g, x, n, n.blocks(level) / j);
    const Scope down = n.resample(level, false);
    if (g.weights().has(weight_of(down))) x = g.conv2d(x, down, {.stride = 2, .pad_end = true});
  }
  x = finish(g, middle(g, x, n, "encoder"), n, "encoder");
  const Scope quant = n.side("quant_conv");
  return g.weights().has(weight_of(quant)) ? g.conv2d(x, quant) : x;
}

// z: latent [h, w, z] -> picture in -1..1 [8h, 8w, 3]
Value decode(Graph& g, Value z, const Names& n, int levels) {
  const Scope quant = n.side("post_quant_conv");
  if (g.weights().has(weight_of(quant))) z = g.conv2d(z, quant);
  Value x = middle(g, g.conv2d(z, n.side("decoder") / "conv_in"), n, "decoder");
  for (int i = levels - 1; i >= 0; i--) {
    const Scope level = n.level("decoder", i, levels);
    const int blocks = g.weights().sequence_length(n.blocks(level).path());
    for (int j = 0; j < blocks; j++) x = residual(g, x, n, n.blocks(level) / j);
    const Scope up = n.resample(level, true);
    if (g.weights().has(weight_of(up))) x = g.conv2d(x, up, {.up = 2});
  }
  return finish(g, x, n, "decoder");
}

// How many of the levels change the resolution: a power of two of them is the factor.
int factor_of(const StateDict& w, const Names& n, const char* s, int levels) {
  int factor = 1;
  for (int i = 0; i < levels; i++)
    if (w.has(weight_of(n.resample(n.level(s, i, levels), s[0] == 'd')))) factor *= 2;
  return factor;
}

int levels_of(const StateDict& w, const Names& n, const char* s) {
  const bool up = s[0] == 'd';
  const int levels = w.sequence_length(
      (n.side(s) / (n.ldm ? (up ? "up" : "down") : (up ? "up_blocks" : "down_blocks"))).path());
  check(levels >= 1 && levels <= 8, Code::model, w.source, ": AutoencoderKL: the ", s, " has ", levels,
        " levels, expected 1 to 8");
  return levels;
}

// The factor is not among the weights. A full checkpoint shows which model it is of.
void find_scaling(const StateDict& w, AutoencoderNetworks& a) {
  if (const double stated = metadata_number(w, "scaling_factor"); stated > 0) {
    a.scaling = stated, a.shift = metadata_shift(w, "shift_factor");
    a.origin = "metadata";
    return;
  }
  a.origin = "checkpoint";
  if (a.latent_c == 16) {
    if (w.names_any("model.diffusion_model.joint_blocks.")) {
      a.scaling = 1.5305, a.shift = 0.0609;  // SD3
      return;
    }
    a.scaling = 0.3611, a.shift = 0.1159;  // FLUX.1
    if (!w.names_any("model.diffusion_model.double_blocks.")) a.origin = "assumed";
    return;
  }
  a.scaling = w.names_any("conditioner.embedders.") ? 0.13025 : 0.18215;  // SDXL, SD 1 and 2
  if (!w.names_any("conditioner.embedders.") && !w.names_any("cond_stage_model.")) a.origin = "assumed";
}

}  // namespace

std::string autoencoder_part(const std::set<std::string, std::less<>>& names) {
  for (const std::string prefix : kPrefixes)
    for (const char* half : {"decoder.", "encoder."})
      if (names.count(prefix + half + "conv_in.weight")) return prefix;
  return "";
}

bool detect_vae(const StateDict& file) { return names_of(file).has_value(); }

AutoencoderNetworks open_vae(std::shared_ptr<const StateDict> w) {
  const Names n = *names_of(*w);
  AutoencoderNetworks a;
  a.family = "AutoencoderKL", a.moments = true;
  a.dialect = n.ldm ? "LDM keys" : "diffusers keys";
  if (!n.prefix.empty()) a.dialect += ", prefix " + n.prefix;
  const bool has_encoder = w->has(weight_of(n.side("encoder") / "conv_in")),
             has_decoder = w->has(weight_of(n.side("decoder") / "conv_in"));
  std::vector<const Network*> used;
  if (has_encoder) {
    const int levels = levels_of(*w, n, "encoder");
    const ConvShape in = conv_shape(*w, weight_of(n.side("encoder") / "conv_in")),
                    out = conv_shape(*w, weight_of(n.side("encoder") / "conv_out"));
    check(out.cout % 2 == 0 && in.cin == 3, Code::model, w->source, ": AutoencoderKL: the encoder maps ",
          in.cin, " channels to ", out.cout, ", expected 3 to an even number");
    a.latent_c = out.cout / 2, a.factor = factor_of(*w, n, "encoder", levels);
    a.encoder =
        encoder_network(a, w, out.cout, [n, levels](Graph& g, Value x) { return encode(g, x, n, levels); });
    used.push_back(&*a.encoder);
  }
  if (has_decoder) {
    const int levels = levels_of(*w, n, "decoder");
    const ConvShape in = conv_shape(*w, weight_of(n.side("decoder") / "conv_in")),
                    out = conv_shape(*w, weight_of(n.side("decoder") / "conv_out"));
    const int factor = factor_of(*w, n, "decoder", levels);
    check(out.cout == 3 && (!has_encoder || (in.cin == a.latent_c && factor == a.factor)), Code::model,
          w->source, ": AutoencoderKL: the decoder maps ", in.cin, " channels to ", out.cout, " at ", factor,
          " times the size, which does not fit the encoder or a picture");
    a.latent_c = in.cin, a.factor = factor;
    a.decoder =
        decoder_network(a, w, in.cin, [n, levels](Graph& g, Value z) { return decode(g, z, n, levels); });
    used.push_back(&*a.decoder);
  }
  find_scaling(*w, a);
  expect_every_tensor_used(used, {n.prefix + "encoder.", n.prefix + "decoder.", n.prefix + "quant_conv.",
                                  n.prefix + "post_quant_conv."});
  return a;
}

}  // namespace ups
