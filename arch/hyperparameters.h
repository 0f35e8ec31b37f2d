// Reading hyper-parameters from tensor shapes and file metadata, within the bounds of sane networks.
#pragma once

#include <string>
#include <string_view>

#include "weights/state_dict.h"

namespace ups {

// Shape of a convolution [cout, cin, k, k], each in 1..65536. Throws Error{Code::model} naming the key when
// it is missing, not four-dimensional, not square or out of those bounds.
struct ConvShape {
  int cout = 0, cin = 0, k = 0;
};
ConvShape conv_shape(const StateDict& weights, const std::string& key);

// Throws Error{Code::model} unless the entry of `key` is a k x k convolution from cin to cout channels.
void expect_conv(const StateDict& weights, const std::string& key, ConvShape expected);

// r for which r * r == n; 0 when there is none or n < 1.
int exact_root(int n);

// A number the file's metadata states under `name`, 0 when it states none. Throws Error{Code::model} for
// text that is not a number in (0, 64].
double metadata_number(const StateDict& weights, const std::string& name);
// The same for a number in [-64, 64].
double metadata_shift(const StateDict& weights, const std::string& name);

}  // namespace ups
