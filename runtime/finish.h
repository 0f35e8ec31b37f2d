// The finishing line of a picture: resample, cut out, sharpen, adjust, pad, quantise. Rows in, rows out.
#pragma once

#include <optional>
#include <vector>

#include "kernels/dither.h"
#include "kernels/sharpen.h"
#include "runtime/alpha_resizer.h"
#include "runtime/image.h"
#include "runtime/output.h"

namespace ups {

struct FinishOptions {
  Extent picture{0, 0};                // resampled to, colours weighted by alpha; 0x0: as it comes
  Extent canvas{0, 0};                 // of the result; 0x0: the picture's
  int x = 0, y = 0;                    // of the picture on the canvas: below 0 is cut off, above is padded
  float background[4] = {0, 0, 0, 0};  // of padding: RGB (its luma in gray pictures) and alpha
  Filter filter = Filter::lanczos3;
  std::optional<Sharpen> sharpen;
  // v brightness, then (v - 0.5) contrast + 0.5, then luma + (v - luma) saturation.
  float brightness = 1, contrast = 1, saturation = 1;
  Dither dither = Dither::none;
};

class Finisher {
 public:
  // Pictures `in` of c channels become pictures of out() at `depth`, whose rows go to the callback in order,
  // packed. Error{Code::usage} for sizes out of range and for a canvas without any of the picture.
  Finisher(Extent in, int c, Depth depth, const FinishOptions& options, Pool& pool,
           Output::RowCallback callback);
  // The next n rows [n, in.w, c].
  void push(const float* rows, int n);
  Extent out() const { return canvas_; }
  int64_t bytes() const;  // held

 private:
  void resampled(int y, int n, const float* rows);
  void place(int n, const float* rows);
  void deliver(int n, const float* rows);
  void pad(int rows);

  FinishOptions o_;
  Pool& pool_;
  Output::RowCallback callback_;
  int c_;
  Depth depth_;
  Extent picture_, canvas_;
  Extent seen_;                  // the part of the picture that is on the canvas
  int skip_x_ = 0, skip_y_ = 0;  // of the picture, before that part
  int left_ = 0, above_ = 0;     // padding
  AlphaResizer resizer_;
  std::optional<RowSharpener> sharpener_;
  RowQuantiser quantiser_;
  int placed_ = 0, delivered_ = 0;
  std::vector<float> cut_, adjusted_, padding_;
  std::vector<std::byte> packed_;
};

}  // namespace ups
