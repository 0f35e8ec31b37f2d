// Holds the colours of a picture in the making to those of the picture it is made from.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/pool.h"
#include "runtime/image.h"

namespace ups {

// The order is that of ups_colour_fix in include/upscale.h.
enum class ColourFix : uint8_t {
  none,
  lowfreq,   // adds the difference of the low frequencies: both box-averaged to a grid of 8 px of the
             // reference, the difference spread by the bilinear filter
  mean,      // adds the difference of each channel's mean
  histogram  // maps each channel so that its distribution becomes the reference's (skimage match_histograms),
             // over 65536 levels of 0..1
};

class ColourAnchor {
 public:
  // reference: the picture whose colours are right; its first `colours` (1 or 3) channels count.
  ColourAnchor(const Image& reference, int colours, ColourFix fix, Pool& pool);
  // picture [size, c], c >= colours; further channels are untouched. In place.
  void apply(float* picture, Extent size, int c, Pool& pool) const;
  // Memory held and used, at most, for a picture of this size.
  static int64_t bytes_for(Extent reference, Extent size, int colours, ColourFix fix);

 private:
  void apply_lowfreq(float* picture, Extent size, int c, Pool& pool) const;
  void apply_mean(float* picture, Extent size, int c, Pool& pool) const;
  void apply_histogram(float* picture, Extent size, int c, Pool& pool) const;

  ColourFix fix_;
  int colours_;
  Extent grid_{1, 1};             // of lowfreq
  std::vector<float> coarse_;     // [grid, colours]
  std::vector<double> mean_;      // [colours]
  std::vector<uint64_t> counts_;  // [colours, 65536], cumulated
};

}  // namespace ups
