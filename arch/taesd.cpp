// TAESD: a small autoencoder distilled from those of Stable Diffusion (4 latent channels), SD3 and FLUX.1
// (16) and FLUX.2 (32). That of FLUX.2 normalises over the whole picture in the blocks at the lowest
// resolution.
//
// Layers are numbered as in the original release, where the decoder begins with a clamp without parameters;
// diffusers does not count it.
#include <algorithm>
#include <vector>

#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "arch/vae.h"
#include "kernels/error.h"

namespace ups {
namespace {

const ConvOptions kRelu{.act = Act::relu};
constexpr int kPoolGroups = 4;
constexpr float kPoolEps = 1e-5f;

struct Layers {
  Scope root;
  int shift = 0;  // 1: the decoder of diffusers
  Scope at(int i) const { return root / (i - shift); }
};

// y = relu(conv(relu(conv(relu(conv(x))))) + x), where a block with a pool first adds to x what a
// normalisation over all pixels makes of it.
Value block(Graph& g, Value x, const Scope& at) {
  if (const Scope pool = at / "pool"; g.weights().has((pool / 0 / "weight").path())) {
    const Value wide = g.group_norm(g.conv2d(x, pool / 0), pool / 1, kPoolGroups, kPoolEps, Act::relu);
    x = g.conv2d(wide, pool / 3, {.add = plus(x)});
  }
  const Value h = g.conv2d(g.conv2d(x, at / "conv" / 0, kRelu), at / "conv" / 2, kRelu);
  const Scope skip = at / "skip";
  if (g.weights().has((skip / "weight").path())) x = g.conv2d(x, skip);
  return g.conv2d(h, at / "conv" / 4, {.act = Act::relu, .add = plus(x), .act_last = true});
}

// x: picture in 0..1 [h, w, 3] -> latent [h/8, w/8, z]
Value encode(Graph& g, Value x, const Layers& l) {
  g.set_rounding(Rounding::up);
  x = block(g, g.conv2d(x, l.at(0)), l.at(1));
  for (int i : {2, 6, 10}) {
    x = g.conv2d(x, l.at(i), {.stride = 2});
    for (int j = 1; j <= 3; j++) x = block(g, x, l.at(i + j));
  }
  return g.conv2d(x, l.at(14));
}

// z: clamped latent [h, w, z] -> picture in 0..1 [8h, 8w, 3]
Value decode(Graph& g, Value z, const Layers& l) {
  Value x = g.conv2d(z, l.at(1), kRelu);
  for (int i : {3, 8, 13}) {
    for (int j = 0; j < 3; j++) x = block(g, x, l.at(i + j));
    x = g.conv2d(x, l.at(i + 4), {.up = 2});
  }
  return g.conv2d(block(g, x, l.at(18)), l.at(19));
}

// Of a file: which halves it has and where.
struct Found {
  std::optional<Layers> encoder, decoder;
  std::string dialect, prefix;
};

Found find(const StateDict& w) {
  Found f;
  for (const std::string prefix : {"", "vae.", "taesd."}) {
    if (w.has(prefix + "encoder.layers.0.weight") && w.has(prefix + "encoder.layers.1.conv.0.weight"))
      f.encoder = Layers{Scope(prefix + "encoder") / "layers", 0};
    if (w.has(prefix + "decoder.layers.0.weight") && w.has(prefix + "decoder.layers.2.conv.0.weight"))
      f.decoder = Layers{Scope(prefix + "decoder") / "layers", 1};
    f.dialect = "diffusers keys", f.prefix = prefix;
    if (f.encoder || f.decoder) return f;
  }
  f.dialect = "original keys", f.prefix = "";
  for (const char* name : {"", "taesd_encoder", "taesd_decoder"}) {  // ComfyUI prefixes the two files
    const Scope at{name};
    auto has = [&](const Scope& s) { return w.has((s / "weight").path()); };
    if (!f.encoder && has(at / 0) && has(at / 1 / "conv" / 0) && has(at / 14))
      f.encoder = Layers{at, 0};
    else if (!f.decoder && has(at / 1) && has(at / 3 / "conv" / 0) && has(at / 19))
      f.decoder = Layers{at, 0};
  }
  return f;
}

}  // namespace

bool detect_taesd(const StateDict& file) {
  const Found f = find(file);
  return f.encoder || f.decoder;
}

AutoencoderNetworks open_taesd(std::shared_ptr<const StateDict> w, std::shared_ptr<const StateDict> second) {
  AutoencoderNetworks a;
  a.family = "TAESD", a.signed_range = false, a.clamped = true, a.fits_fp16 = true, a.latent_c = 0;
  for (const auto& file : {w, second}) {
    if (!file) continue;
    const Found f = find(*file);
    check(f.encoder || f.decoder, Code::model, file->source, ": is not a TAESD file");
    a.dialect = f.dialect;
    std::vector<const Network*> used;
    auto channels = [&](int c) {
      check(a.latent_c == 0 || a.latent_c == c, Code::model, file->source, ": TAESD: has ", c,
            " latent channels, the other half ", a.latent_c);
      a.latent_c = c;
    };
    if (f.encoder && !a.encoder) {
      const Layers l = *f.encoder;
      const ConvShape out = conv_shape(*file, (l.at(14) / "weight").path());
      channels(out.cout);
      a.encoder = encoder_network(a, file, out.cout, [l](Graph& g, Value x) { return encode(g, x, l); });
      used.push_back(&*a.encoder);
    }
    if (f.decoder && !a.decoder) {
      const Layers l = *f.decoder;
      const ConvShape in = conv_shape(*file, (l.at(1) / "weight").path());
      channels(in.cin);
      a.decoder = decoder_network(a, file, in.cin, [l](Graph& g, Value z) { return decode(g, z, l); });
      used.push_back(&*a.decoder);
    }
    check(!used.empty(), Code::model, file->source, ": TAESD: holds the same half as the other file");
    expect_every_tensor_used(used, {f.prefix});
  }
  return a;
}

}  // namespace ups
