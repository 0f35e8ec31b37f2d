// Compact: SRVGGNetCompact (Wang et al. 2021, Real-ESRGAN). A VGG-style chain in LR, one pixel shuffle, and
// the nearest-upsampled input added on top. Input and output RGB in 0..1, no normalisation.
#include "arch/families.h"
#include "arch/hyperparameters.h"
#include "arch/strict.h"
#include "kernels/error.h"

namespace ups {

namespace {

struct Hyper {
  int num_feat, num_conv, scale, in_c, out_c;
  Act act;
  float slope;  // of Act::lrelu
};

// body: conv, act, num_conv x (conv, act), conv, PixelShuffle.                lr: [h, w, in_channels]
Value build(Graph& g, Value lr, const Hyper& p) {
  const Scope body("body");
  Value x = lr;
  for (int i = 0; i <= p.num_conv; i++) {
    ConvOptions options{.act = p.act, .slope = p.slope};
    if (p.act == Act::prelu) options.prelu = (body / (2 * i + 1)).path() + ".weight";
    x = g.conv2d(x, body / (2 * i), options);  // [h, w, num_feat]
  }
  // Every channel of lr serves the scale^2 outputs that the shuffle spreads over its HR pixels (and all
  // colours of a grey input, which PyTorch broadcasts).
  const int group = p.out_c / p.in_c * p.scale * p.scale;
  return g.conv2d(x, body / (2 * p.num_conv + 2), {.add = plus(lr, 1, group), .shuffle = p.scale});
}

// The activation layers are children of `body` too: 1-D slopes at odd indices for PReLU, no key otherwise.
const KeyRule kRule = {.has_all = {"body.0.weight", "body.2.weight"},
                       .has_none = {"conv_first.weight", "head.0.weight", "head.1.weight"}};

bool detect(const StateDict& w) {
  const auto dims = [&](const char* key) { return w.at(key).shape.size(); };
  return kRule.matches(w) && dims("body.0.weight") == 4 && dims("body.2.weight") == 4 &&
         (!w.has("body.1.weight") || dims("body.1.weight") == 1);
}

Act activation_of(const StateDict& w) {
  if (w.has("body.1.weight")) return Act::prelu;
  const std::string act = w.metadata_text("act");
  if (act == "relu") return Act::relu;
  if (act == "leakyrelu") return Act::lrelu;
  fail(Code::model, w.source, ": Compact without PReLU slopes: metadata 'act' is '", act.substr(0, 40),
       "', expected 'relu' or 'leakyrelu' (the tensors do not tell which)");
}

// PixelShuffle turns `channels` = out_c * scale^2 into out_c; as many colours as came in is likeliest.
void solve_shuffle(const StateDict& w, int channels, Hyper& p) {
  for (int out_c : {p.in_c, 3, 4, 1}) {
    p.out_c = out_c;
    p.scale = channels % out_c ? 0 : exact_root(channels / out_c);
    if (p.scale >= 1 && p.scale <= 16 && out_c % p.in_c == 0) return;
  }
  fail(Code::model, w.source, ": Compact: the last convolution has ", channels, " outputs, expected ", p.in_c,
       " times a square (the pixel shuffle must give an image the input can be added to)");
}

Network open(std::shared_ptr<const StateDict> w) {
  Hyper p{};
  const ConvShape first = conv_shape(*w, "body.0.weight");
  p.num_feat = first.cout;
  p.in_c = first.cin;
  p.act = activation_of(*w);
  const double slope = metadata_number(*w, "act_slope");  // only exported graphs state it
  p.slope = p.act != Act::lrelu ? 0 : slope > 0 ? float(slope) : 0.1f;
  const int length = w->sequence_length("body");
  check(length >= 3 && length % 2 == 1, Code::model, w->source, ": Compact: 'body' has ", length,
        " layers, expected an odd number (convolution, activation, .., convolution)");
  p.num_conv = (length - 3) / 2;
  const std::string last_key = "body." + std::to_string(length - 1) + ".weight";
  const ConvShape last = conv_shape(*w, last_key);
  expect_conv(*w, last_key, {last.cout, p.num_feat, last.k});
  solve_shuffle(*w, last.cout, p);

  const char* act = p.act == Act::prelu ? "PReLU" : p.act == Act::relu ? "ReLU" : "LeakyReLU";
  const Info info = {
      .family = "Compact",
      .variant = std::string("SRVGGNetCompact, ") + act,
      .scale = p.scale,
      .in_c = p.in_c,
      .out_c = p.out_c,
      .hyper = {{"num_feat", p.num_feat}, {"num_conv", p.num_conv}},
  };
  return strict_network(
      info, [p](Graph& g, Value lr) { return build(g, lr, p); }, std::move(w));
}

}  // namespace

const Family kSrvgg = {"Compact", "SRVGGNetCompact: realesr-general-x4v3, realesr-animevideov3", detect,
                       open};

}  // namespace ups
