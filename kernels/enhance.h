// Pillow's ImageEnhance and ImageFilter on 8-bit pictures, bit for bit.
//
// Pictures are packed u8 [h, w, c], c = 1 (gray), 2 (gray, alpha), 3 (RGB), 4 (RGBA). Alpha is never changed.
// (Pillow's own kernels would filter it like a colour.)
#pragma once

#include <cstdint>

#include "kernels/cpu/pool.h"
#include "kernels/tensor.h"

namespace ups {

enum class Kernel : uint8_t { smooth, detail, blur, contour };

// ImageFilter.SMOOTH, DETAIL, BLUR (5x5) and CONTOUR. Sums are formed in float in Pillow's order, truncated
// after adding 0.5 and clamped; the outermost pixels (two of BLUR) are copied. In place.
void filter_u8(uint8_t* picture, Extent size, int c, Kernel kernel, Pool& pool);

// ImageEnhance.*(picture).enhance(factor): degenerate + (picture - degenerate) factor. The degenerate is:
enum class Enhance : uint8_t {
  sharpness,   // the picture after SMOOTH
  brightness,  // black
  color,       // its gray, (19595 R + 38470 G + 7471 B + 32768) >> 16
  contrast     // a flat gray: the mean of that gray, rounded half up
};
// factor: any finite number; 1 changes nothing. In place.
void enhance_u8(uint8_t* picture, Extent size, int c, Enhance what, float factor, Pool& pool);

// ImageFilter.UnsharpMask(radius, percent, threshold): radius is the sigma of a Gaussian that is approximated
// by three box blurs of 8 bits each way. radius 0..100, percent >= 0, threshold 0..255. In place.
void unsharp_mask_u8(uint8_t* picture, Extent size, int c, float radius, int percent, int threshold,
                     Pool& pool);

// Working memory of filter_u8 and enhance_u8, in bytes; unsharp_mask_u8 needs two copies of the picture.
int64_t enhance_bytes(int w, int c);

}  // namespace ups
