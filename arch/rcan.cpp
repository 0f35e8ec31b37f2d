// RCAN (Zhang et al. 2018): residual groups of residual channel attention blocks, on 0..255 like EDSR; its
// variants behind a pixel-unshuffle take 0..1. Original and BasicSR keys.
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
  const char *blocks, *block;    // body / g / blocks / b / block / 0
  const char *squeeze, *excite;  // of the channel attention, below `block`
  const char* group_end;         // below body / g; "": the child of `blocks` behind its last block
};

struct Hyper {
  int num_feat, num_group, num_block, squeeze_feat, unshuffle;
  std::vector<int> steps;
  ColourRange range;
};

Value build(Graph& g, Value lr, const Layers& l, const Hyper& p) {
  Value x = shift_colours(g, lr, p.range);
  if (p.unshuffle > 1) x = g.pixel_unshuffle(x, p.unshuffle);
  const Value head = x = g.conv2d(x, l.head);  // [h, w, num_feat]
  for (int i = 0; i < p.num_group; i++) {
    const Scope group = l.body / i, blocks = group / l.blocks;
    const Value group_in = x;
    for (int b = 0; b < p.num_block; b++) {
      const Scope block = blocks / b / l.block;
      const Value t = g.conv2d(g.conv2d(x, block / 0, {.act = Act::relu}), block / 2);
      x = g.channel_attention(t, block / l.squeeze, block / l.excite, {.add = plus(x)});
    }
    x = g.conv2d(x, *l.group_end ? group / l.group_end : blocks / p.num_block, {.add = plus(group_in)});
  }
  x = g.conv2d(x, l.body_end, {.add = plus(head)});
  return upsample_steps(g, x, l.upsample, p.steps, l.last);
}

const KeyRule kOriginal = {
    .has_all = {"tail.1.weight", "body.0.body.0.body.0.weight", "body.0.body.0.body.3.conv_du.0.weight"},
    .has_any = {"head.0.weight", "head.1.weight"}};
const KeyRule kBasic = {.has_all = {"conv_first.weight", "body.0.residual_group.0.rcab.0.weight",
                                    "body.0.residual_group.0.rcab.3.attention.1.weight",
                                    "body.0.conv.weight"}};

bool detect(const StateDict& w) { return kOriginal.matches(w) || kBasic.matches(w); }

Network open(std::shared_ptr<const StateDict> w) {
  const bool basic = kBasic.matches(*w);
  const Scope root, body = root / "body";
  Derived derived(w);
  Hyper p{};
  p.num_group = w->sequence_length("body") - (basic ? 0 : 1);
  p.num_block = w->sequence_length(basic ? "body.0.residual_group" : "body.0.body") - (basic ? 0 : 1);
  check(p.num_group >= 1 && p.num_block >= 1, Code::model, w->source, ": RCAN: got ", p.num_group,
        " groups of ", p.num_block, " blocks, expected some");
  const Scope head = root / "head" / (w->has("head.1.weight") ? 1 : 0);
  const Layers l = basic ? Layers{"BasicSR keys",
                                  root / "conv_first",
                                  body,
                                  root / "conv_after_body",
                                  root / "upsample",
                                  root / "conv_last",
                                  "residual_group",
                                  "rcab",
                                  "3.attention.1",
                                  "3.attention.3",
                                  "conv"}
                         : Layers{"original keys",
                                  head,
                                  body,
                                  body / p.num_group,
                                  root / "tail" / 0,
                                  root / "tail" / 1,
                                  "body",
                                  "body",
                                  "3.conv_du.0",
                                  "3.conv_du.2",
                                  ""};
  const ConvShape first = conv_shape(*w, l.head.path() + ".weight");
  const ConvShape last = conv_shape(*w, l.last.path() + ".weight");
  p.num_feat = first.cout;
  p.squeeze_feat = conv_shape(*w, (l.body / 0 / l.blocks / 0 / l.block / l.squeeze).path() + ".weight").cout;
  p.steps = shuffle_steps(*w, l.upsample.path(), p.num_feat);
  p.unshuffle = first.cin % last.cout ? 0 : exact_root(first.cin / last.cout);
  const int scale = product(p.steps);
  check(p.unshuffle >= 1 && scale % p.unshuffle == 0, Code::model, w->source, ": RCAN: takes ", first.cin,
        " channels to ", last.cout, " and upsamples by ", scale, ", expected a whole scale");
  p.range = basic && first.cin == 3 ? div2k_range() : range_of_file(derived);
  check(!p.range.present || int(p.range.in_scale.size()) == first.cin / (p.unshuffle * p.unshuffle),
        Code::model, w->source, ": RCAN: the mean shift has ", p.range.in_scale.size(),
        " channels, the first convolution ", first.cin);
  fold_colours(derived, l.last, p.range);

  const Info info = {
      .family = "RCAN",
      .variant = std::string("RCAN, ") + l.dialect + (p.unshuffle > 1 ? ", pixel-unshuffle" : "") +
                 (p.range.present ? "" : ", no mean shift"),
      .scale = scale / p.unshuffle,
      .in_c = last.cout,
      .out_c = last.cout,
      .multiple_of = p.unshuffle,
      .hyper = {{"num_feat", p.num_feat},
                {"num_group", p.num_group},
                {"num_block", p.num_block},
                {"squeeze_feat", p.squeeze_feat},
                {"unshuffle", p.unshuffle}},
  };
  return strict_network(
      info, [l, p](Graph& g, Value lr) { return build(g, lr, l, p); }, derived.finish());
}

}  // namespace

const Family kRcan = {"RCAN", "RCAN, original and BasicSR keys, pixel-unshuffle variants", detect, open};

}  // namespace ups
