// SwinIR-M x4 and HAT x4 with seeded random weights: no package carries the released ones.
#include "bench/gpu/random_weights.h"

namespace ups::bench {
namespace {

constexpr int kWidth = 180, kHeads = 6, kGroups = 6, kDepth = 6;

void mlp(RandomWeights& m, const std::string& at) {
  m.norm(at + ".norm2", kWidth);
  m.linear(at + ".mlp.fc1", 2 * kWidth, kWidth, 1);
  m.linear(at + ".mlp.fc2", kWidth, 2 * kWidth, 0.5f);
}

void block(RandomWeights& m, const std::string& at, int window, bool hybrid) {
  m.norm(at + ".norm1", kWidth);
  m.tensor(at + ".attn.relative_position_bias_table", {(2 * window - 1) * (2 * window - 1), kHeads}, 0.5f);
  m.linear(at + ".attn.qkv", 3 * kWidth, kWidth, 1);
  m.linear(at + ".attn.proj", kWidth, kWidth, 0.5f);
  if (hybrid) {
    const std::string cab = at + ".conv_block.cab";
    m.conv(cab + ".0", kWidth / 3, kWidth, 1);
    m.conv(cab + ".2", kWidth, kWidth / 3, 1);
    m.conv(cab + ".3.attention.1", kWidth / 30, kWidth, 1, 0, 1);
    m.conv(cab + ".3.attention.3", kWidth, kWidth / 30, 1, 0, 1);
  }
  mlp(m, at);
}

StateDict transformer(int window, bool hybrid) {
  RandomWeights m;
  m.conv("conv_first", kWidth, 3, 1);
  m.norm("patch_embed.norm", kWidth);
  for (int l = 0; l < kGroups; l++) {
    const std::string layer = "layers." + std::to_string(l), group = layer + ".residual_group";
    for (int b = 0; b < kDepth; b++) block(m, group + ".blocks." + std::to_string(b), window, hybrid);
    if (hybrid) {
      const std::string at = group + ".overlap_attn";
      const int side = window + window * 3 / 2 - 1;
      m.norm(at + ".norm1", kWidth);
      m.tensor(at + ".relative_position_bias_table", {side * side, kHeads}, 0.5f);
      m.linear(at + ".qkv", 3 * kWidth, kWidth, 1);
      m.linear(at + ".proj", kWidth, kWidth, 0.5f);
      mlp(m, at);
    }
    m.conv(layer + ".conv", kWidth, kWidth, 0.5f);
  }
  m.norm("norm", kWidth);
  m.conv("conv_after_body", kWidth, kWidth, 0.5f);
  m.conv("conv_before_upsample.0", 64, kWidth, 1);
  m.conv("upsample.0", 256, 64, 1);
  m.conv("upsample.2", 256, 64, 1);
  m.conv("conv_last", 3, 64, 0.2f);
  return std::move(m.state);
}

}  // namespace

StateDict random_swinir() { return transformer(8, false); }
StateDict random_hat() { return transformer(16, true); }

}  // namespace ups::bench
