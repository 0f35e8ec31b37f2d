// ESRGAN family: RRDBNet (Wang et al. 2018), Real-ESRGAN's pixel-unshuffle form (Wang et al. 2021), ESRGAN+
// (Rakotonirina and Rasoanaivo 2020). Input and output RGB in 0..1, no normalisation.
#include <algorithm>
#include <optional>

#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "kernels/error.h"

namespace ups {

namespace {

const ConvOptions kLrelu = {.act = Act::lrelu, .slope = 0.2f};

// Where the layers lie in a file. Three dialects name the same tensors differently.
struct Layers {
  const char* dialect;
  Scope first, trunk, hr, last;
  std::vector<Scope> ups;  // one per upsampling step
  Scope body;              // children 0 .. num_block-1
  const char* rdb;         // "rdb" or "RDB", numbered 1..3
  bool nested;             // convolutions sit in a Sequential: "conv1.0"

  Scope conv(const Scope& rdb_scope, int j) const {
    const Scope s = rdb_scope / "conv" + j;
    return nested ? s / 0 : s;
  }
};

struct Hyper {
  int num_feat, num_grow_ch, num_block, unshuffle, up;
  bool plus;
};

std::string weight(const Scope& s) { return s.path() + ".weight"; }

// Residual dense block: every convolution sees all features so far.           x: [h, w, num_feat]
// conv5's epilogue adds the block's residual and, in the last block, the RRDB's, so no pointwise pass
// remains. ESRGAN+ adds a 1x1 projection of x to x2, and x2 to x4, both after the activation.
Value rdb(Graph& g, Value x, const Scope& w, const Layers& at, bool is_plus,
          std::optional<Value> rrdb_in = {}) {
  const Value x1 = g.conv2d(x, at.conv(w, 1), kLrelu);  // [h, w, num_grow_ch], as x2 .. x4
  ConvOptions second = kLrelu, fourth = kLrelu;
  if (is_plus) second.add = plus(g.conv2d(x, w / "conv1x1"));
  const Value x2 = g.conv2d(g.concat({x, x1}), at.conv(w, 2), second);
  const Value x3 = g.conv2d(g.concat({x, x1, x2}), at.conv(w, 3), kLrelu);
  if (is_plus) fourth.add = plus(x2);
  const Value x4 = g.conv2d(g.concat({x, x1, x2, x3}), at.conv(w, 4), fourth);
  const Value all = g.concat({x, x1, x2, x3, x4});
  if (!rrdb_in) return g.conv2d(all, at.conv(w, 5), {.scale = 0.2f, .add = plus(x)});
  return g.conv2d(all, at.conv(w, 5), {.scale = 0.04f, .add = plus(x, 0.2f), .add2 = plus(*rrdb_in)});
}

// RRDBNet.                                                                    lr: [h, w, in_channels]
Value build(Graph& g, Value lr, const Layers& at, const Hyper& p) {
  if (p.unshuffle > 1) lr = g.pixel_unshuffle(lr, p.unshuffle);  // [h/u, w/u, u*u*in_channels]
  const Value first = g.conv2d(lr, at.first);
  Value x = first;
  for (int i = 0; i < p.num_block; i++) {
    const Scope b = at.body / i;
    const Value rrdb_in = x;
    x = rdb(g, x, b / at.rdb + 1, at, p.plus);
    x = rdb(g, x, b / at.rdb + 2, at, p.plus);
    x = rdb(g, x, b / at.rdb + 3, at, p.plus, rrdb_in);
  }
  x = g.conv2d(x, at.trunk, {.add = plus(first)});
  for (const Scope& up : at.ups)
    x = g.conv2d(x, up, {.act = Act::lrelu, .slope = 0.2f, .up = p.up});  // nearest, then convolution
  x = g.conv2d(x, at.hr, kLrelu);
  return g.conv2d(x, at.last);
}

const KeyRule kOld = {.has_all = {"model.0.weight"},  // the first ESRGAN: one Sequential
                      .has_any = {"model.1.sub.0.RDB1.conv1.0.weight", "model.1.sub.0.RDB1.conv1x1.weight"}};
const KeyRule kMid = {.has_all = {"conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"}};
const KeyRule kNew = {.has_all = {"conv_first.weight", "body.0.rdb1.conv1.weight"}};

bool detect(const StateDict& w) { return kNew.matches(w) || kMid.matches(w) || kOld.matches(w); }

// Upsampling steps are numbered from 1; the highest number present counts, so that a gap is an error later.
std::vector<Scope> numbered_ups(const StateDict& w, const std::string& stem) {
  std::vector<Scope> ups;
  int last = 0;
  for (int k = 1; k <= 5; k++)
    if (w.has(stem + std::to_string(k) + ".weight")) last = k;
  for (int k = 1; k <= last; k++) ups.push_back(Scope(stem) + k);
  return ups;
}

Layers layers_of(const StateDict& w) {
  const Scope root;
  if (kNew.matches(w))
    return {"BasicSR keys",
            root / "conv_first",
            root / "conv_body",
            root / "conv_hr",
            root / "conv_last",
            numbered_ups(w, "conv_up"),
            root / "body",
            "rdb",
            false};
  if (kMid.matches(w))
    return {"BSRGAN keys",
            root / "conv_first",
            root / "trunk_conv",
            root / "HRconv",
            root / "conv_last",
            numbered_ups(w, "upconv"),
            root / "RRDB_trunk",
            "RDB",
            false};
  // Indices count parameterless layers too: 0 first, 1 trunk, then 3 per step (Upsample, conv, LeakyReLU),
  // conv_hr, LeakyReLU, conv_last.
  const Scope model = root / "model", sub = model / 1 / "sub";
  const int length = w.sequence_length("model"), num_up = (length - 5) / 3;
  check(length >= 5 && length % 3 == 2 && num_up <= 5, Code::model, w.source, ": ESRGAN: 'model' has ",
        length, " layers, expected 5 + 3 per upsampling step");
  std::vector<Scope> ups;
  for (int k = 1; k <= num_up; k++) ups.push_back(model / (3 * k));
  const int num_block = w.sequence_length(sub.path()) - 1;  // the last child is the trunk convolution
  return {
      "old keys", model / 0, sub / num_block, model / (3 * num_up + 2), model / (3 * num_up + 4), ups, sub,
      "RDB",      true};
}

// Real-ESRGAN's x2 and x1 networks are x4 networks behind a pixel-unshuffle by 2 or 4.
int unshuffle_of(int in, int out) { return in == 4 * out ? 2 : in == 16 * out ? 4 : 1; }

Network open(std::shared_ptr<const StateDict> w) {
  const Layers at = layers_of(*w);
  const ConvShape first = conv_shape(*w, weight(at.first)), last = conv_shape(*w, weight(at.last));
  const Scope rdb1 = at.body / 0 / at.rdb + 1;
  const ConvShape grow = conv_shape(*w, weight(at.conv(rdb1, 1)));

  Hyper p{};
  p.num_feat = first.cout;
  p.num_grow_ch = grow.cout;
  p.num_block = w->sequence_length(at.body.path()) - (at.nested ? 1 : 0);
  p.plus = w->has(weight(rdb1 / "conv1x1"));
  p.unshuffle = unshuffle_of(first.cin, last.cout);
  // One step of x3 has the keys and shapes of one step of x2: only the metadata tells them apart.
  p.up = at.ups.size() == 1 && w->metadata_text("scale") == "3" ? 3 : 2;
  check(p.num_block >= 1, Code::model, w->source, ": ESRGAN: '", at.body.path(), "' has no blocks");
  expect_conv(*w, weight(at.last), {last.cout, p.num_feat, last.k});
  expect_conv(*w, weight(at.conv(rdb1, 1)), {p.num_grow_ch, p.num_feat, 3});

  int scale = 1;
  for (size_t k = 0; k < at.ups.size(); k++) scale *= p.up;
  check(scale % p.unshuffle == 0, Code::model, w->source, ": ESRGAN: upsamples by ", scale,
        " behind a pixel-unshuffle by ", p.unshuffle, ", expected a whole scale");

  const Info info = {
      .family = "ESRGAN",
      .variant = std::string(p.plus ? "ESRGAN+ RRDBNet" : "RRDBNet") +
                 (p.unshuffle > 1 ? ", pixel-unshuffle" : "") + ", " + at.dialect,
      .scale = scale / p.unshuffle,
      .in_c = first.cin / (p.unshuffle * p.unshuffle),
      .out_c = last.cout,
      .multiple_of = p.unshuffle,
      .hyper = {{"num_feat", p.num_feat},
                {"num_block", p.num_block},
                {"num_grow_ch", p.num_grow_ch},
                {"unshuffle", p.unshuffle},
                {"plus", p.plus}},
  };
  return strict_network(
      info, [at, p](Graph& g, Value lr) { return build(g, lr, at, p); }, std::move(w));
}

}  // namespace

const Family kRrdb = {"ESRGAN", "RRDBNet: ESRGAN, BSRGAN, Real-ESRGAN, ESRGAN+", detect, open};

}  // namespace ups
