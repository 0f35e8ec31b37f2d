// Output: where finished float rows go: quantised into the caller's image or handed to his callback, with the
// alpha channel resampled alongside, row by row.
#pragma once

#include <functional>
#include <vector>

#include "kernels/resize.h"
#include "runtime/image.h"

namespace ups {

// The alpha plane of an image resampled to another height and width, produced in step with the colours.
class AlphaRows {
 public:
  AlphaRows(const Image& lr, Extent hr, Filter filter, Pool& pool);
  // Rows [y, y + n), [n, w]; requests must go from top to bottom. Valid until the next call.
  const float* rows(int y, int n);

 private:
  const Image& lr_;
  Extent hr_;
  Pool& pool_;
  RowResizer resizer_;
  int pushed_ = 0;             // LR rows given to the resizer
  int first_ = 0, ready_ = 0;  // HR rows [first_, ready_) are in buffer_
  std::vector<float> in_, buffer_;
};

// Receives rows [n, w, c] of the final picture, where c is 1, 3, or includes alpha already, and completes
// them.
class Output {
 public:
  using RowCallback = std::function<void(int y, int n, const void* packed)>;
  // hr: format of the result; its data is used only when `callback` is empty. `lr` provides alpha when the
  // rows carry none.
  Output(const Image& lr, const Image& hr, int rows_c, Filter filter, Pool& pool, RowCallback callback);
  void put(int y, int n, const float* rows);

 private:
  Image hr_;
  int rows_c_;
  Pool& pool_;
  RowCallback callback_;
  std::vector<AlphaRows> alpha_;  // none or one
  std::vector<std::byte> packed_;
};

}  // namespace ups
