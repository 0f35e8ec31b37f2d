// Normalisation, group convolutions and reconstruction of the SwinIR family.
#include "arch/swin_parts.h"

#include "arch/colour_range.h"
#include "arch/hyperparameters.h"
#include "kernels/error.h"

namespace ups {

namespace {

constexpr const char* kNormalise = "normalise";  // 1x1 convolution made by derive_normalisation

float mean_of(const Normalisation& n, int channel) {
  return n.channels == 3 ? float(kDiv2kMean[channel]) : 0;
}
bool is_identity(const Normalisation& n) { return n.channels != 3 && n.range == 1; }

Value before_upsample(Graph& g, Value x) {
  return g.conv2d(x, Scope("conv_before_upsample.0"), {.act = Act::lrelu, .slope = 0.01f});
}

}  // namespace

void derive_normalisation(Derived& derived, const Normalisation& n, const std::string& output_bias,
                          int group) {
  if (!is_identity(n)) {
    const int c = n.channels;
    derived.expect_room(int64_t(c) * c);
    std::vector<float> diagonal(size_t(c) * c, 0), shift;
    for (int i = 0; i < c; i++)
      diagonal[size_t(i) * c + i] = n.range, shift.push_back(-mean_of(n, i) * n.range);
    derived.set(std::string(kNormalise) + ".weight", {c, c, 1, 1}, diagonal);
    derived.set(std::string(kNormalise) + ".bias", {c}, shift);
  }
  if (output_bias.empty() || n.channels != 3) return;
  std::vector<float> bias = derived.file().floats(output_bias);
  check(bias.size() == size_t(3) * group, Code::model, derived.file().source, ": '", output_bias, "' has ",
        bias.size(), " values, expected ", 3 * group);
  for (size_t i = 0; i < bias.size(); i++) bias[i] += mean_of(n, int(i) / group) * n.range;
  derived.set(output_bias, {int64_t(bias.size())}, bias);
}

Value normalise(Graph& g, Value lr, const Normalisation& n) {
  return is_identity(n) ? lr : g.conv2d(lr, Scope(kNormalise));
}

bool three_convolutions(const StateDict& weights, const Scope& w) {
  return !weights.has(w.path() + ".weight") && weights.has(w.path() + ".0.weight");
}

Value group_convolution(Graph& g, Value x, const Scope& w, Value add) {
  if (!three_convolutions(g.weights(), w)) return g.conv2d(x, w, {.add = plus(add)});
  const ConvOptions lrelu = {.act = Act::lrelu, .slope = 0.2f};
  x = g.conv2d(x, w / 0, lrelu);
  x = g.conv2d(x, w / 2, lrelu);
  return g.conv2d(x, w / 4, {.add = plus(add)});
}

const char* upsampler_name(Upsampler u) {
  switch (u) {
    case Upsampler::none:
      return "restoration";
    case Upsampler::pixelshuffle:
      return "pixelshuffle";
    case Upsampler::direct:
      return "pixelshuffledirect";
    case Upsampler::nearest:
      return "nearest+conv";
  }
  return "";
}

Reconstruction reconstruction_of(const StateDict& w, int in_c) {
  Reconstruction r;
  if (w.has("conv_before_upsample.0.weight"))
    r.kind = w.has("conv_up1.weight") ? Upsampler::nearest : Upsampler::pixelshuffle;
  else if (w.has("upsample.0.weight"))
    r.kind = Upsampler::direct;
  if (r.kind == Upsampler::direct) {
    const int channels = conv_shape(w, "upsample.0.weight").cout;
    r.out_c = in_c;
    r.scale = channels % in_c ? 0 : exact_root(channels / in_c);
    check(r.scale >= 1 && r.scale <= 16, Code::model, w.source, ": 'upsample.0.weight' has ", channels,
          " outputs, expected ", in_c, " times a square");
    r.steps = {r.scale};
    return r;
  }
  r.out_c = conv_shape(w, "conv_last.weight").cout;
  if (r.kind == Upsampler::nearest)
    for (int k = 1; k <= 5 && w.has("conv_up" + std::to_string(k) + ".weight"); k++) r.steps.push_back(2);
  if (r.kind == Upsampler::pixelshuffle)
    for (int k = 0; k <= 8 && w.has("upsample." + std::to_string(k) + ".weight"); k += 2) {
      const std::string key = "upsample." + std::to_string(k) + ".weight";
      const ConvShape s = conv_shape(w, key);
      const int step = s.cout % s.cin ? 0 : exact_root(s.cout / s.cin);
      check(step == 2 || step == 3, Code::model, w.source, ": '", key, "' goes from ", s.cin, " to ", s.cout,
            " channels, expected 4 or 9 times as many");
      r.steps.push_back(step);
    }
  r.scale = product(r.steps);
  return r;
}

std::string output_bias_key(const Reconstruction& r) {
  if (r.kind == Upsampler::none) return "";
  return r.kind == Upsampler::direct ? "upsample.0.bias" : "conv_last.bias";
}

int output_group(const Reconstruction& r) { return r.kind == Upsampler::direct ? r.scale * r.scale : 1; }

Value reconstruct(Graph& g, Value x, Value lr, const Reconstruction& r, const Normalisation& n) {
  const Scope root;
  const float inverse = 1 / n.range;
  switch (r.kind) {
    case Upsampler::none:  // (normalised + conv) / range + mean
      return g.conv2d(x, root / "conv_last", {.scale = inverse, .add = plus(lr)});
    case Upsampler::direct:
      return g.conv2d(x, root / "upsample" / 0, {.scale = inverse, .shuffle = r.scale});
    case Upsampler::pixelshuffle:
      return upsample_steps(g, before_upsample(g, x), root / "upsample", r.steps, root / "conv_last",
                            inverse);
    case Upsampler::nearest:
      x = before_upsample(g, x);
      for (size_t i = 1; i <= r.steps.size(); i++)
        x = g.conv2d(x, root / "conv_up" + int(i), {.act = Act::lrelu, .slope = 0.2f, .up = 2});
      x = g.conv2d(x, root / "conv_hr", {.act = Act::lrelu, .slope = 0.2f});
      return g.conv2d(x, root / "conv_last", {.scale = inverse});
  }
  return x;
}

int checked_heads(const StateDict& w, const char* family, int64_t heads, int embed_dim) {
  check(heads >= 1 && embed_dim % heads == 0, Code::model, w.source, ": ", family, ": ", heads,
        " heads do not divide ", embed_dim, " channels");
  return int(heads);
}

void derive_position_bias(Derived& derived, const Scope& attn, int window, int heads) {
  const StateDict& w = derived.file();
  const std::string key = (attn / kPositionTable).path();
  const int64_t side = 2 * window - 1, places = side * side;
  check(w.dim(key, 0) == places && w.dim(key, 1) == heads && w.at(key).count() == places * heads, Code::model,
        w.source, ": '", key, "' has shape [", w.dim(key, 0), ", ", w.dim(key, 1), "], expected [", places,
        ", ", heads, "]");
  const std::vector<float> table = w.floats(key);
  std::vector<float> out(table.size());
  for (int64_t i = 0; i < places; i++)
    for (int h = 0; h < heads; h++) out[size_t(h * places + places - 1 - i)] = table[size_t(i * heads + h)];
  derived.set((attn / "bias").path(), {heads, side, side}, std::move(out));
  derived.drop(key);
}

}  // namespace ups
