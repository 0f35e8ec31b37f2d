// AutoencoderKL as Stable Diffusion has it (128-256-512-512, 4 latent channels, LDM keys), with seeded random
// weights.
#include "bench/gpu/random_weights.h"

namespace ups::bench {
namespace {

constexpr int kChannels[] = {128, 256, 512, 512};

void residual(RandomWeights& m, const std::string& at, int cin, int cout) {
  m.norm(at + ".norm1", cin);
  m.conv(at + ".conv1", cout, cin, 1);
  m.norm(at + ".norm2", cout);
  m.conv(at + ".conv2", cout, cout, 0.5f);
  if (cin != cout) m.conv(at + ".nin_shortcut", cout, cin, 1, 0, 1);
}

void middle(RandomWeights& m, const std::string& side) {
  const std::string at = side + ".mid";
  residual(m, at + ".block_1", 512, 512);
  m.norm(at + ".attn_1.norm", 512);
  for (const char* key : {"q", "k", "v", "proj_out"}) m.conv(at + ".attn_1." + key, 512, 512, 1, 0, 1);
  residual(m, at + ".block_2", 512, 512);
}

// Returns the channels that the last one makes.
int residuals(RandomWeights& m, const std::string& level, int count, int cin, int cout) {
  for (int i = 0; i < count; i++, cin = cout) residual(m, level + ".block." + std::to_string(i), cin, cout);
  return cout;
}

void decoder(RandomWeights& m) {
  m.conv("post_quant_conv", 4, 4, 1, 0, 1);
  m.conv("decoder.conv_in", 512, 4, 1);
  middle(m, "decoder");
  int c = 512;
  for (int level = 3; level >= 0; level--) {
    const std::string up = "decoder.up." + std::to_string(level);
    c = residuals(m, up, 3, c, kChannels[level]);
    if (level > 0) m.conv(up + ".upsample.conv", c, c, 1);
  }
  m.norm("decoder.norm_out", 128);
  m.conv("decoder.conv_out", 3, 128, 0.3f);
}

void encoder(RandomWeights& m) {
  m.conv("encoder.conv_in", 128, 3, 1);
  int c = 128;
  for (int level = 0; level <= 3; level++) {
    const std::string down = "encoder.down." + std::to_string(level);
    c = residuals(m, down, 2, c, kChannels[level]);
    if (level < 3) m.conv(down + ".downsample.conv", c, c, 1);
  }
  middle(m, "encoder");
  m.norm("encoder.norm_out", 512);
  m.conv("encoder.conv_out", 8, 512, 0.3f);
  m.conv("quant_conv", 8, 8, 1, 0, 1);
}

}  // namespace

StateDict random_vae() {
  RandomWeights m;
  decoder(m);
  encoder(m);
  return std::move(m.state);
}

}  // namespace ups::bench
