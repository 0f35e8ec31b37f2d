// AlphaResizer: resampling of pictures with straight alpha, in which colours count as much as they are
// visible.
#pragma once

#include <vector>

#include "kernels/resize.h"

namespace ups {

// A RowResizer for pictures of c channels, the last of 2 or 4 being alpha: colours are multiplied by their
// alpha, resampled, and divided by the alpha that comes out. Equal sizes are an exact copy.
class AlphaResizer {
 public:
  AlphaResizer(Extent in, Extent out, int c, Filter filter);
  // As RowResizer::push: the next n rows [n, in.w, c] in, finished rows out in order.
  void push(const float* rows, int n, Pool& pool, const RowSink& sink);
  size_t bytes() const;  // of working memory

 private:
  int c_;
  int64_t in_w_, out_w_;
  bool weighed_;  // there is alpha, and something to resample
  RowResizer resizer_;
  std::vector<float> in_, out_;  // some rows as the resizer sees them; as they leave
};

}  // namespace ups
