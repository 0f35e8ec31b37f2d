// Straight alpha on its way through a resampler: colours count as much as they are visible.
#pragma once

#include <cstdint>

namespace ups {

// Colours weighted by their alpha, alpha, and the colours as they are, for where nothing is visible.
// in [w, c] -> out [w, 2 c - 1]
inline void weigh(const float* in, int c, int64_t w, float* out) {
  for (int64_t x = 0; x < w; x++, in += c, out += 2 * c - 1)
    for (int k = 0; k < c - 1; k++) {
      out[k] = in[k] * in[c - 1];
      out[c - 1] = in[c - 1];
      out[c + k] = in[k];
    }
}

inline void unweigh(const float* in, int c, int64_t pixels, float* out) {
  // Below this alpha nobody can see the colour, and dividing by it would magnify noise.
  constexpr float kInvisible = 1e-4f;
  for (int64_t i = 0; i < pixels; i++, in += 2 * c - 1, out += c) {
    const float a = in[c - 1];
    for (int k = 0; k < c - 1; k++) out[k] = a > kInvisible ? in[k] / a : in[c + k];
    out[c - 1] = a;
  }
}

}  // namespace ups
