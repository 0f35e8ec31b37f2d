// EDSR and MDSR (Lim et al. 2017): residual blocks without normalisation on 0..255, in the keys of the
// original and, for EDSR, of BasicSR.
#include "arch/colour_range.h"
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Layers {
  const char* dialect;
  Scope head, body, body_end, upsample, last;
  const char *conv1, *conv2;  // of a block
  Scope pre_process;          // of MDSR: two blocks of 5x5 convolutions
};

struct Hyper {
  int num_feat, num_block;
  float res_scale;
  bool mdsr;
  std::vector<int> steps;
  ColourRange range;
};

// x + res_scale * conv2(relu(conv1(x)))
Value block(Graph& g, Value x, const Scope& at, const Layers& l, float res_scale) {
  const Value t = g.conv2d(x, at / l.conv1, {.act = Act::relu});
  return g.conv2d(t, at / l.conv2, {.scale = res_scale, .add = plus(x)});
}

Value build(Graph& g, Value lr, const Layers& l, const Hyper& p) {
  Value head = g.conv2d(shift_colours(g, lr, p.range), l.head);  // [h, w, num_feat]
  if (p.mdsr)
    for (int i = 0; i < 2; i++) head = block(g, head, l.pre_process / i, l, 1);
  Value x = head;
  for (int i = 0; i < p.num_block; i++) x = block(g, x, l.body / i, l, p.res_scale);
  x = g.conv2d(x, l.body_end, {.add = plus(head)});
  return upsample_steps(g, x, l.upsample, p.steps, l.last);
}

const KeyRule kOriginal = {.has_all = {"head.0.weight", "body.0.body.0.weight", "body.0.body.2.weight",
                                       "tail.0.0.weight", "tail.1.weight"},
                           .has_none = {"body.0.body.0.body.0.weight"}};
const KeyRule kMdsr = {.has_all = {"head.0.weight", "body.0.body.0.weight", "body.0.body.2.weight",
                                   "pre_process.0.0.body.0.weight", "upsample.0.0.weight", "tail.0.weight"}};
const KeyRule kBasic = {.has_all = {"conv_first.weight", "body.0.conv1.weight", "body.0.conv2.weight",
                                    "conv_after_body.weight", "upsample.0.weight", "conv_last.weight"},
                        .has_none = {"layers.0.blocks.0.norm1.weight"}};

bool detect(const StateDict& w) { return kMdsr.matches(w) || kOriginal.matches(w) || kBasic.matches(w); }

Layers layers_of(const StateDict& w) {
  const Scope root, body = root / "body";
  if (kBasic.matches(w))
    return {"BasicSR keys",
            root / "conv_first",
            body,
            root / "conv_after_body",
            root / "upsample",
            root / "conv_last",
            "conv1",
            "conv2",
            Scope()};
  const int num_block = w.sequence_length("body") - 1;  // the last child is a convolution
  Layers l{"original keys",   root / "head" / 0, body,     body / num_block, root / "tail" / 0,
           root / "tail" / 1, "body.0",          "body.2", Scope()};
  if (kMdsr.matches(w)) l.last = root / "tail" / 0;
  return l;
}

// An MDSR file holds one branch per scale. The metadata may say which one is meant (upscale convert --scale);
// otherwise it is that of the largest scale.
int branch_of(const StateDict& w, int num_feat, std::vector<int>& steps) {
  const std::string stated = w.metadata_text("scale");
  int chosen = -1;
  std::string scales;
  for (int k = 0; k < w.sequence_length("upsample"); k++) {
    const std::vector<int> s = shuffle_steps(w, "upsample." + std::to_string(k), num_feat);
    const bool wanted = stated.empty() || stated == std::to_string(product(s));
    scales += (scales.empty() ? "" : ", ") + std::to_string(product(s));
    if (wanted && (chosen < 0 || product(s) > product(steps))) chosen = k, steps = s;
  }
  check(chosen >= 0, Code::model, w.source, ": MDSR: has no branch of scale ",
        stated.empty() ? "?" : stated.substr(0, 20), ", expected one of ", scales);
  return chosen;
}

Network open(std::shared_ptr<const StateDict> w) {
  Derived derived(w);
  Layers l = layers_of(*w);
  Hyper p{};
  p.mdsr = kMdsr.matches(*w);
  const ConvShape head = conv_shape(*w, l.head.path() + ".weight");
  p.num_feat = head.cout;
  p.num_block = w->sequence_length("body") - (kBasic.matches(*w) ? 0 : 1);
  check(p.num_block >= 1, Code::model, w->source, ": EDSR: 'body' has no blocks");
  // Not in the tensors: the 256-channel network was trained with 0.1, the others with 1.
  const double stated = metadata_number(*w, "res_scale");
  p.res_scale = stated > 0 ? float(stated) : p.num_feat == 256 ? 0.1f : 1.0f;
  if (p.mdsr) {
    const int k = branch_of(*w, p.num_feat, p.steps);
    l.pre_process = Scope("pre_process") / k;
    l.upsample = Scope("upsample") / k;
    for (const auto& [key, entry] : w->entries())
      for (const Scope& used : {l.pre_process, l.upsample}) {
        const std::string all = used.path().substr(0, used.path().rfind('.') + 1);
        if (key.rfind(all, 0) == 0 && key.rfind(used.path() + ".", 0) != 0) derived.drop(key);
      }
  } else {
    p.steps = shuffle_steps(*w, l.upsample.path(), p.num_feat);
  }
  p.range = kBasic.matches(*w) && head.cin == 3 ? div2k_range() : range_of_file(derived);
  fold_colours(derived, l.last, p.range);
  const ConvShape last = conv_shape(*w, l.last.path() + ".weight");

  const Info info = {
      .family = "EDSR",
      .variant = std::string(p.mdsr ? "MDSR" : "EDSR") + ", " + l.dialect +
                 (p.res_scale == 1 ? "" : ", scaled residuals") + (p.range.present ? "" : ", no mean shift"),
      .scale = product(p.steps),
      .in_c = head.cin,
      .out_c = last.cout,
      .hyper = {{"num_feat", p.num_feat}, {"num_block", p.num_block}},
  };
  return strict_network(
      info, [l, p](Graph& g, Value lr) { return build(g, lr, l, p); }, derived.finish());
}

}  // namespace

const Family kEdsr = {"EDSR", "EDSR and MDSR, original and BasicSR keys", detect, open};

}  // namespace ups
