// How far two pictures are apart, by the definitions of the super-resolution literature (BasicSR's
// calculate_psnr and calculate_ssim).
#pragma once

#include <optional>

#include "apps/codecs/image_io.h"

namespace ups::apps {

// Of colours rounded to 8 bits; gray counts as R = G = B, alpha is left out. Y is BT.601 luma in 16..235,
// not rounded.
struct Difference {
  double psnr = 0, psnr_y = 0;         // dB; infinite for equal pictures
  std::optional<double> ssim, ssim_y;  // absent where a side is less than the window of 11 pixels
  double largest = 0;                  // of any sample, alpha included, in levels of 255, at full depth
  int x = 0, y = 0;                    // where it is
};

// Both of one size; `border` pixels at each side are left out. Throws Failure(kUsage).
Difference difference(const Image& a, const Image& b, int border);

// Channels as 8-bit RGB; alpha dropped.
Image rgb_of(const Image& image);

}  // namespace ups::apps
