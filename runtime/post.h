// The loopback scaler's last touch: Pillow's enhancers and filters on the finished picture, at 8 bits.
#pragma once

#include "kernels/cpu/pool.h"
#include "kernels/tensor.h"

namespace ups {

struct Post {
  float sharpness = 1, brightness = 1, color = 1, contrast = 1;  // factors; 1: unchanged
  int detail = 0, smooth = 0, blur = 0;                          // how often
  bool contour = false;
  bool any() const;
};

// picture [h, w, c], c = 1, 3 or 4, floats: rounded to 8 bits, filtered in the order of Post's members (the
// order of the script), back to floats in 0..1. Alpha is only rounded.
void apply_post(float* picture, Extent size, int c, const Post& post, Pool& pool);

// Working memory in bytes.
int64_t post_bytes(Extent size, int c);

}  // namespace ups
