// Seeded random weights by name.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "weights/state_dict.h"

namespace ups::bench {

class RandomWeights {
 public:
  // Gains below 1 keep values in the range of pictures through dozens of layers.
  void conv(const std::string& key, int cout, int cin, float gain, float bias = 0, int k = 3) {
    tensor(key + ".weight", {cout, cin, k, k}, gain / std::sqrt(float(cin) * float(k * k)));
    tensor(key + ".bias", {cout}, 0.02f, bias);
  }
  void linear(const std::string& key, int cout, int cin, float gain) {
    tensor(key + ".weight", {cout, cin}, gain / std::sqrt(float(cin)));
    tensor(key + ".bias", {cout}, 0.02f);
  }
  void norm(const std::string& key, int c) {
    tensor(key + ".weight", {c}, 0.1f, 1);
    tensor(key + ".bias", {c}, 0.02f);
  }
  void tensor(const std::string& key, const std::vector<int64_t>& shape, float spread, float mean = 0) {
    int64_t count = 1;
    for (int64_t side : shape) count *= side;
    std::vector<float> v(static_cast<size_t>(count));
    for (float& x : v) x = mean + normal_(engine_) * spread;
    state.add_owned(key, shape, std::move(v));
  }
  StateDict state;

 private:
  std::mt19937 engine_{11};
  std::normal_distribution<float> normal_;
};

// SwinIR-M and HAT, both x4 (random_transformers.cpp).
StateDict random_swinir();
StateDict random_hat();
// AutoencoderKL at full width (random_autoencoder.cpp).
StateDict random_vae();

}  // namespace ups::bench
