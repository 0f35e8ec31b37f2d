// What SwinIR and its descendants (Swin2SR, HAT) have in common around their transformer layers: the image
// normalisation, the convolution behind a group of layers, the reconstruction, and position bias tables.
#pragma once

#include "arch/derived.h"
#include "runtime/model.h"

namespace ups {

// x -> (x - mean) * range in front of the network, y / range + mean behind it. The mean is that of DIV2K for
// three channels and 0 for one. Padding of the first convolution is zero after the subtraction, so this is an
// operation of its own, a 1x1 convolution.
struct Normalisation {
  int channels = 3;
  float range = 1;
};
// Adds the weights; `output_bias` is the bias of the network's last convolution, which takes the mean in:
// `group` consecutive outputs of it make one channel. Empty when the input is added to the output.
void derive_normalisation(Derived& derived, const Normalisation& n, const std::string& output_bias,
                          int group);
Value normalise(Graph& g, Value lr, const Normalisation& n);

// One 3x3 convolution ("1conv"), or 3x3 to a quarter of the channels, 1x1, 3x3 ("3conv"), at `w`; then `add`.
Value group_convolution(Graph& g, Value x, const Scope& w, Value add);
// Whether the convolutions at `w` are three.
bool three_convolutions(const StateDict& weights, const Scope& w);

enum class Upsampler { none, pixelshuffle, direct, nearest };
struct Reconstruction {
  Upsampler kind = Upsampler::none;
  int scale = 1, out_c = 3;
  std::vector<int> steps;  // factor of each pixel shuffle, or 2 per nearest step
};
// From the keys conv_before_upsample, conv_up*, upsample and conv_last. Throws Error{Code::model}.
Reconstruction reconstruction_of(const StateDict& weights, int in_c);
const char* upsampler_name(Upsampler u);
// The key of the bias of the last convolution, and how many of its outputs make a channel.
std::string output_bias_key(const Reconstruction& r);
int output_group(const Reconstruction& r);
// features [h, w, c] -> [h * scale, w * scale, out_c], denormalised. `lr` is the network's input.
Value reconstruct(Graph& g, Value features, Value lr, const Reconstruction& r, const Normalisation& n);

// A group of transformer layers that ends with a convolution and a shortcut.
struct LayerGroup {
  int depth, heads;
};
// `heads` as an int. Throws Error{Code::model} unless it divides the channels.
int checked_heads(const StateDict& weights, const char* family, int64_t heads, int embed_dim);

// The table of SwinIR's attention at `attn`, [(2 * window - 1)^2, heads], becomes `attn.bias` [heads, 2
// window - 1, 2 window - 1]. Its rows and columns run over query minus key, so the order of kernels/ops.h is
// the file's reversed.
constexpr const char* kPositionTable = "relative_position_bias_table";
void derive_position_bias(Derived& derived, const Scope& attn, int window, int heads);

}  // namespace ups
