// Mean shifts and upsamplers of EDSR and its descendants (Lim et al. 2017).
#include "arch/colour_range.h"

#include "arch/hyperparameters.h"
#include "kernels/error.h"

namespace ups {

namespace {

constexpr double kRange = 255;

// A MeanShift layer: a 1x1 convolution whose matrix is diagonal.
void read_shift(Derived& derived, const std::string& name, std::vector<double>& scale,
                std::vector<double>& shift) {
  const StateDict& file = derived.file();
  const std::string weight_key = name + ".weight", bias_key = name + ".bias";
  const ConvShape s = conv_shape(file, weight_key);
  check(s.cout == s.cin && s.k == 1 && s.cout <= 4 && file.at(bias_key).count() == s.cout, Code::model,
        file.source, ": '", name, "' is not a shift of at most 4 channels");
  const std::vector<float> w = file.floats(weight_key), b = file.floats(bias_key);
  for (int o = 0; o < s.cout; o++)
    for (int i = 0; i < s.cin; i++)
      check(o == i || w[size_t(o) * s.cin + i] == 0, Code::model, file.source, ": '", weight_key,
            "' mixes channels, expected a diagonal matrix");
  for (int c = 0; c < s.cout; c++) scale.push_back(w[size_t(c) * s.cin + c]), shift.push_back(b[c]);
  derived.drop(weight_key), derived.drop(bias_key);
}

}  // namespace

ColourRange div2k_range() {
  ColourRange r;
  r.present = true;
  for (double mean : kDiv2kMean) {
    r.in_scale.push_back(float(kRange)), r.in_shift.push_back(float(-kRange * mean));
    r.out_scale.push_back(float(1 / kRange)), r.out_shift.push_back(float(mean));
  }
  return r;
}

ColourRange range_of_file(Derived& derived) {
  ColourRange r;
  if (!derived.file().has("sub_mean.weight")) return r;
  std::vector<double> scale, shift, back_scale, back_shift;
  read_shift(derived, "sub_mean", scale, shift);
  read_shift(derived, "add_mean", back_scale, back_shift);
  check(scale.size() == back_scale.size(), Code::model, derived.file().source, ": 'sub_mean' has ",
        scale.size(), " channels, 'add_mean' ", back_scale.size());
  r.present = true;
  for (size_t c = 0; c < scale.size(); c++) {
    r.in_scale.push_back(float(kRange * scale[c])), r.in_shift.push_back(float(shift[c]));
    r.out_scale.push_back(float(back_scale[c] / kRange));
    r.out_shift.push_back(float(back_shift[c] / kRange));
  }
  return r;
}

Value shift_colours(Graph& g, Value lr, const ColourRange& range) {
  return range.present ? g.affine(lr, range.in_scale, range.in_shift) : lr;
}

void fold_colours(Derived& derived, const Scope& last, const ColourRange& range) {
  if (!range.present) return;
  const StateDict& file = derived.file();
  const std::string weight_key = last.path() + ".weight", bias_key = last.path() + ".bias";
  const ConvShape s = conv_shape(file, weight_key);
  check(s.cout == int(range.out_scale.size()), Code::model, file.source, ": '", weight_key, "' has ", s.cout,
        " outputs, expected ", range.out_scale.size(), " as the image has channels");
  std::vector<float> w = file.floats(weight_key), b(s.cout);
  if (file.has(bias_key)) {
    check(file.at(bias_key).count() == s.cout, Code::model, bias_key, ": has ", file.at(bias_key).count(),
          " values, expected ", s.cout);
    b = file.floats(bias_key);
  }
  const size_t row = w.size() / s.cout;
  for (int c = 0; c < s.cout; c++) {
    for (size_t i = 0; i < row; i++) w[c * row + i] *= range.out_scale[c];
    b[c] = b[c] * range.out_scale[c] + range.out_shift[c];
  }
  derived.set(weight_key, {s.cout, s.cin, s.k, s.k}, std::move(w));
  derived.set(bias_key, {s.cout}, std::move(b));
}

std::vector<int> shuffle_steps(const StateDict& weights, const std::string& prefix, int num_feat) {
  std::vector<int> steps;
  for (int k = 0;; k += 2) {
    const std::string key = prefix + "." + std::to_string(k) + ".weight";
    if (!weights.has(key)) break;
    const ConvShape s = conv_shape(weights, key);
    const int r = s.cout % num_feat ? 0 : exact_root(s.cout / num_feat);
    check(s.cin == num_feat && r >= 2 && r <= 4 && steps.size() < 4, Code::model, weights.source,
          ": weight '", key, "' takes ", s.cin, " channels to ", s.cout, ", expected ", num_feat,
          " to 4, 9 or 16 times as many (a pixel shuffle follows)");
    steps.push_back(r);
  }
  return steps;
}

Value upsample_steps(Graph& g, Value x, const Scope& at, const std::vector<int>& steps, const Scope& last,
                     float scale) {
  if (steps.empty()) return g.conv2d(x, last, {.scale = scale});
  const int end = int(steps.size()) - 1;
  for (int i = 0; i < end; i++) x = g.conv2d(x, at / (2 * i), {.shuffle = steps[i]});
  return g.shuffled_conv2d(x, at / (2 * end), steps[end], last, scale);
}

int product(const std::vector<int>& steps) {
  int p = 1;
  for (int s : steps) p *= s;
  return p;
}

}  // namespace ups
