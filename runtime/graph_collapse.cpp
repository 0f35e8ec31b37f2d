// A convolution with a pixel shuffle and the 3x3 convolution of few outputs behind it, as two smaller ones.
//
// Nothing between the two is nonlinear, so what the second one does to channels moves into the first: that
// makes for each of the nine taps the n sums over channels which the tap contributes to the n outputs, and
// what is left of the second adds nine shifted pixels. Borders are exact: a tap outside the image adds
// nothing in either form.
#include <algorithm>

#include "runtime/graph.h"

namespace ups {

namespace {

constexpr int kTaps = 9;

std::vector<float> bias_of(const StateDict& file, const std::string& key, int count) {
  return key.empty() ? std::vector<float>(count) : file.floats(key);
}

}  // namespace

Value Graph::shuffled_conv2d(Value x, const Scope& first, int r, const Scope& last, float scale) {
  const auto infos = weight_infos_.size();
  const int phases = r * r;
  const Weight w1 = new_weight(first, info(x, first.path().c_str()).c);
  const Weight w2 = new_weight(last, w1.cout / phases);
  const WeightInfo info1 = weight_infos_[infos], info2 = weight_infos_[infos + 1];
  weight_infos_.resize(infos);
  const int n = w2.cout, middle = w2.cin;
  if (!collapses_ || w2.k != 3 || kTaps * n >= middle || w1.cout % phases != 0)
    return conv2d(conv2d(x, first, {.shuffle = r}), last, {.scale = scale});

  const std::vector<float> from = weights_->floats(info1.weight_key),
                           from_bias = bias_of(*weights_, info1.bias_key, w1.cout),
                           by = weights_->floats(info2.weight_key);
  const size_t row = size_t(w1.k) * w1.k * w1.cin;
  std::vector<float> weight, bias;
  std::vector<double> sum(row);
  for (int tap = 0; tap < kTaps; tap++)
    for (int c = 0; c < n; c++)
      for (int phase = 0; phase < phases; phase++) {
        std::fill(sum.begin(), sum.end(), 0);
        double constant = 0;
        for (int m = 0; m < middle; m++) {
          const double factor = by[(size_t(c) * middle + m) * kTaps + tap];
          const float* w = &from[size_t(m * phases + phase) * row];
          for (size_t i = 0; i < row; i++) sum[i] += factor * w[i];
          constant += factor * from_bias[m * phases + phase];
        }
        weight.insert(weight.end(), sum.begin(), sum.end());
        bias.push_back(float(constant));
      }
  std::vector<float> ones(size_t(n) * kTaps * n * kTaps);
  for (int c = 0; c < n; c++)
    for (int tap = 0; tap < kTaps; tap++) ones[(size_t(c) * kTaps * n + tap * n + c) * kTaps + tap] = 1;

  auto file = std::make_shared<StateDict>(*weights_);
  const Scope taps = last / "taps", shifts = last / "shifts";
  file->add_owned(taps.path() + ".weight", {int64_t(kTaps) * n * phases, w1.cin, w1.k, w1.k},
                  std::move(weight));
  file->add_owned(taps.path() + ".bias", {int64_t(kTaps) * n * phases}, std::move(bias));
  file->add_owned(shifts.path() + ".weight", {n, int64_t(kTaps) * n, 3, 3}, std::move(ones));
  file->add_owned(shifts.path() + ".bias", {n}, bias_of(*weights_, info2.bias_key, n));
  weights_ = std::move(file);

  const Value y = conv2d(conv2d(x, taps, {.shuffle = r}), shifts, {.scale = scale});
  for (size_t i = infos; i < weight_infos_.size(); i++) weight_infos_[i].computed = true;
  collapsed_parameters_ += info1.parameters() + info2.parameters();
  return y;
}

}  // namespace ups
