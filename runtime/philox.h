// Seeded normal numbers by a counter: Philox4x32-10 (Salmon et al. 2011) and Box-Muller.
//
// Number i of a seed uses counter (0, 0, i, 0), key (low, high half of the seed) and the first two words of
// the result: the numbers torch.randn gives on a CUDA device for tensors of the sizes latents have.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace ups {

using PhiloxWords = std::array<uint32_t, 4>;

inline PhiloxWords philox4x32_10(PhiloxWords counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(0xD2511F53) * counter[0], b = uint64_t(0xCD9E8D57) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b), uint32_t(a >> 32) ^ counter[3] ^ key[1],
               uint32_t(a)};
    key[0] += 0x9E3779B9, key[1] += 0xBB67AE85;
  }
  return counter;
}

inline float philox_normal(uint64_t seed, uint32_t index) {
  const PhiloxWords w = philox4x32_10({0, 0, index, 0}, {uint32_t(seed), uint32_t(seed >> 32)});
  constexpr double kUnit = 1.0 / 4294967296.0, kTwoPi = 6.283185307179586;
  const double u = w[0] * kUnit + kUnit / 2, v = w[1] * (kUnit * kTwoPi) + kUnit * kTwoPi / 2;
  return float(std::sqrt(-2 * std::log(u)) * std::sin(v));
}

}  // namespace ups
