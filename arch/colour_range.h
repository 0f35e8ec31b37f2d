// What EDSR, MDSR, RCAN and SPAN have in common around their trunks: the shift of mean and range in front,
// its inverse folded into the last convolution, and upsampling by convolutions with pixel shuffles.
#pragma once

#include <string>
#include <vector>

#include "arch/derived.h"
#include "runtime/model.h"

namespace ups {

// Image 0..1 -> x * in_scale + in_shift for the network; its result * out_scale + out_shift -> 0..1, per
// channel. The first convolution pads what was shifted with zeros, so the shift in front is an operator; the
// one behind folds into the last convolution exactly.
struct ColourRange {
  bool present = false;
  std::vector<float> in_scale, in_shift, out_scale, out_shift;
};
// Mean of the colours of DIV2K, by which these networks and the SwinIR family were trained.
constexpr double kDiv2kMean[3] = {0.4488, 0.4371, 0.4040};
// (x - mean) * 255 with the mean of DIV2K, and back.
ColourRange div2k_range();
// From the layers sub_mean and add_mean of a file, which work on 0..255; absent where the file has none: its
// network then takes 0..1. Drops their keys.
ColourRange range_of_file(Derived& derived);

Value shift_colours(Graph& g, Value lr, const ColourRange& range);
// Replaces weight and bias of the convolution at `last`.
void fold_colours(Derived& derived, const Scope& last, const ColourRange& range);

// Factors of the pixel shuffles behind the convolutions at prefix.0, prefix.2, ... Throws Error{Code::model}.
std::vector<int> shuffle_steps(const StateDict& weights, const std::string& prefix, int num_feat);
// All of them and the last convolution, whose result is multiplied by `scale`.
Value upsample_steps(Graph& g, Value x, const Scope& at, const std::vector<int>& steps, const Scope& last,
                     float scale = 1);
int product(const std::vector<int>& steps);

}  // namespace ups
