// Autoencoders whose weights are a function of name and index, as tests/golden/make_vae.py makes them.
#pragma once

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/autoencoder_networks.h"
#include "tests/arch/golden_net.h"
#include "weights/open.h"

namespace ups::testing {

inline std::vector<float> vae_values(const std::string& key, const std::vector<int64_t>& shape) {
  uint64_t h = 0xCBF29CE484222325;
  for (unsigned char byte : key) h = (h ^ byte) * 0x100000001B3;
  int64_t count = 1, fan_in = 1;
  for (size_t i = 0; i < shape.size(); i++) count *= shape[i], fan_in *= i ? shape[i] : 1;
  const bool bias = key.size() > 5 && key.compare(key.size() - 5, 5, ".bias") == 0;
  const bool norm = key.find("norm") != std::string::npos;
  const double bound = std::sqrt(3.0 / double(fan_in));
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; i++) {
    uint64_t z = h + uint64_t(i) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z = z ^ (z >> 31);
    const double u = double(z >> 40) / (1 << 23) - 1;
    values[size_t(i)] = float(bias ? 0.1 * u : norm ? 1 + 0.2 * u : bound * u);
  }
  return values;
}

enum class VaeDialect { ldm, ldm_checkpoint, vae_prefix, diffusers, diffusers_old };

// One line of the "keys" of a golden file.
struct VaeKey {
  std::string source, diffusers;
  std::vector<int64_t> shape;
};

inline std::vector<VaeKey> vae_keys(const StateDict& io) {
  std::vector<VaeKey> keys;
  std::istringstream lines(io.metadata.at("keys"));
  for (std::string line; std::getline(lines, line);) {
    VaeKey k;
    std::string shape, number;
    std::istringstream(line) >> k.source >> k.diffusers >> shape;
    std::istringstream numbers(shape);
    while (std::getline(numbers, number, ',')) k.shape.push_back(std::stoll(number));
    keys.push_back(k);
  }
  return keys;
}

inline std::string replaced(std::string s, const std::string& from, const std::string& to) {
  const size_t at = s.find(from);
  return at == std::string::npos ? s : s.replace(at, from.size(), to);
}

// The weights of a golden AutoencoderKL in the words of a dialect.
inline std::shared_ptr<StateDict> vae_weights(const StateDict& io, VaeDialect dialect) {
  auto w = std::make_shared<StateDict>();
  w->source = "golden";
  for (const VaeKey& k : vae_keys(io)) {
    std::vector<int64_t> shape = k.shape;
    std::string key = k.source;
    if (dialect == VaeDialect::diffusers || dialect == VaeDialect::diffusers_old) {
      key = k.diffusers;
      if (dialect == VaeDialect::diffusers_old) {
        key = replaced(key, "to_out.0", "proj_attn"), key = replaced(key, "to_q", "query");
        key = replaced(key, "to_k", "key"), key = replaced(key, "to_v", "value");
      }
    } else {
      if (shape.size() == 2) shape = {shape[0], shape[1], 1, 1};
      if (dialect == VaeDialect::ldm_checkpoint) key = "first_stage_model." + key;
      if (dialect == VaeDialect::vae_prefix) key = "vae." + key;
    }
    w->add_owned(key, shape, vae_values(k.source, k.shape));
  }
  if (dialect == VaeDialect::ldm_checkpoint) {  // what else is in a checkpoint
    w->add_owned("model.diffusion_model.input_blocks.0.0.weight", {4, 4}, std::vector<float>(16));
    w->add_owned("cond_stage_model.transformer.text.weight", {4, 4}, std::vector<float>(16));
  }
  return w;
}

// The weights of a golden TAESD: half < 0 is diffusers' file, 0 the encoder's and 1 the decoder's original.
inline std::shared_ptr<StateDict> taesd_weights(const StateDict& io, int half) {
  auto w = std::make_shared<StateDict>();
  w->source = "golden";
  for (const VaeKey& k : vae_keys(io)) {
    const bool decoder = k.source.compare(0, 8, "decoder:") == 0;
    if (half >= 0 && decoder != (half == 1)) continue;
    w->add_owned(half < 0 ? k.diffusers : k.source.substr(8), k.shape, vae_values(k.diffusers, k.shape));
  }
  return w;
}

// Both halves in one file, as ComfyUI names them.
inline std::shared_ptr<StateDict> taesd_prefixed(const StateDict& io) {
  auto w = std::make_shared<StateDict>();
  w->source = "golden";
  for (const VaeKey& k : vae_keys(io)) {
    const bool decoder = k.source.compare(0, 8, "decoder:") == 0;
    w->add_owned((decoder ? "taesd_decoder." : "taesd_encoder.") + k.source.substr(8), k.shape,
                 vae_values(k.diffusers, k.shape));
  }
  w->add_owned("vae_scale", {}, {0.18215f});
  return w;
}

// Runs one half on planes as they are.
inline Planes run_half(Session& session, const Planes& in) {
  const Plan& plan = session.prepare({in.h, in.w});
  for (int y = 0; y < in.h; y++)
    for (int x = 0; x < in.w; x++)
      for (int k = 0; k < in.c; k++) plan.x.at(y, x)[k] = in.at(k, y, x);
  session.run();
  Planes out{plan.y.c, plan.hr.h, plan.hr.w, {}};
  out.v.resize(size_t(out.c) * out.h * out.w);
  for (int y = 0; y < out.h; y++)
    for (int x = 0; x < out.w; x++)
      for (int k = 0; k < out.c; k++) out.at(k, y, x) = plan.y.at(y, x)[k];
  return out;
}

}  // namespace ups::testing
