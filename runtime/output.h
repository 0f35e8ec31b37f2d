// Output: where finished float rows go: quantised into the caller's image or handed to his callback, with
// what is resampled from the source alongside, row by row: its alpha channel, and colours to mix in.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/resize.h"
#include "runtime/image.h"

namespace ups {

// What the numbers of a picture are.
enum class Kind : uint8_t {
  color,   // colours, and alpha for 2 and 4 channels
  data,    // measurements, one per channel: none is alpha
  normal,  // directions v = 2 c - 1 in the first three channels, brought to length 1 again
  mask     // values of which no new one may arise
};

// Channels of an image resampled to another height and width, produced in step with the network's rows.
class SourceRows {
 public:
  SourceRows(const Image& lr, const ChannelMap& channels, Extent hr, Filter filter, Wrap wrap, Pool& pool);
  // Rows [y, y + n), [n, w, channels.count]; requests must go from top to bottom. Valid until the next call.
  const float* rows(int y, int n);
  size_t bytes() const { return resizer_.bytes(); }

 private:
  Image lr_;
  ChannelMap channels_;
  Extent hr_, pad_;
  Wrap wrap_;
  Pool& pool_;
  RowResizer resizer_;
  int pushed_ = 0;             // rows given to the resizer
  int first_ = 0, ready_ = 0;  // HR rows [first_, ready_) are in buffer_
  std::vector<float> in_, buffer_;
};

// Directions [pixels, c], c >= 3, in the first three channels: brought to length 1, but for those of length
// 0.
void renormalise(float* pixels, int64_t count, int c);

struct OutputOptions {
  Filter filter = Filter::lanczos3;
  Wrap wrap;
  Kind kind = Kind::color;
  float source_share = 0;      // of the resampled source in the result, 0..1
  std::optional<float> alpha;  // the same everywhere
  float low = 0, high = 1;     // of a mask: what lies nearer to one becomes it
};

// Receives rows [n, w, c] of the final picture, where c is 1, 3, or includes alpha already, and completes
// them.
class Output {
 public:
  using RowCallback = std::function<void(int y, int n, const void* packed)>;
  // hr: format of the result; its data is used only when `callback` is empty. `lr` provides alpha when hr has
  // one and the rows do not.
  Output(const Image& lr, const Image& hr, int rows_c, const OutputOptions& options, Pool& pool,
         RowCallback callback);
  void put(int y, int n, const float* rows);
  // What put_packed takes: the result's own depth if rows need no more than that, else f32.
  Depth packed_depth() const { return as_they_are() ? hr_.depth : Depth::f32; }
  void put_packed(int y, int n, const void* rows);

 private:
  bool as_they_are() const;
  Image hr_;
  int rows_c_;
  OutputOptions options_;
  Pool& pool_;
  RowCallback callback_;
  std::unique_ptr<SourceRows> alpha_, source_;
  std::vector<float> mixed_;
  std::vector<std::byte> packed_;
};

}  // namespace ups
