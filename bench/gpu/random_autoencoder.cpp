// The decoder of AutoencoderKL as Stable Diffusion has it (128-256-512-512, 4 latent channels, LDM keys),
// with seeded random weights.
#include "bench/gpu/random_weights.h"

namespace ups::bench {
namespace {

void residual(RandomWeights& m, const std::string& at, int cin, int cout) {
  m.norm(at + ".norm1", cin);
  m.conv(at + ".conv1", cout, cin, 1);
  m.norm(at + ".norm2", cout);
  m.conv(at + ".conv2", cout, cout, 0.5f);
  if (cin != cout) m.conv(at + ".nin_shortcut", cout, cin, 1, 0, 1);
}

}  // namespace

StateDict random_vae_decoder() {
  RandomWeights m;
  m.conv("post_quant_conv", 4, 4, 1, 0, 1);
  m.conv("decoder.conv_in", 512, 4, 1);
  residual(m, "decoder.mid.block_1", 512, 512);
  m.norm("decoder.mid.attn_1.norm", 512);
  for (const char* key : {"q", "k", "v", "proj_out"})
    m.conv(std::string("decoder.mid.attn_1.") + key, 512, 512, 1, 0, 1);
  residual(m, "decoder.mid.block_2", 512, 512);
  constexpr int kChannels[] = {128, 256, 512, 512};
  int c = 512;
  for (int level = 3; level >= 0; level--) {
    const std::string up = "decoder.up." + std::to_string(level);
    for (int i = 0; i < 3; i++) {
      residual(m, up + ".block." + std::to_string(i), c, kChannels[level]);
      c = kChannels[level];
    }
    if (level > 0) m.conv(up + ".upsample.conv", c, c, 1);
  }
  m.norm("decoder.norm_out", 128);
  m.conv("decoder.conv_out", 3, 128, 0.3f);
  return std::move(m.state);
}

}  // namespace ups::bench
