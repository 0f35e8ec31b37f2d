// From the size asked for on the command line to the size of the result. Pure arithmetic.
#pragma once

#include <optional>
#include <string>

namespace ups::apps {

// inside: the largest that fits, aspect kept. outside: the smallest that covers, aspect kept. fill:
// stretched. cover: outside, then cropped. contain: inside, then padded.
enum class Fit { inside, outside, fill, cover, contain };

struct SizeRequest {
  double scale = 0;           // 0: the model's own
  int width = 0, height = 0;  // 0: follows from the other and the aspect
  Fit fit = Fit::inside;      // when both are given
  int long_side = 0, short_side = 0;
  double megapixels = 0;
  int max_side = 0;                         // a limit on whatever the others give
  int multiple_of = 0;                      // both sides are rounded to the nearest multiple, at least one
  double gravity_x = 0.5, gravity_y = 0.5;  // where the crop or the padded picture lies: 0 left or top

  bool exact() const {
    return width || height || long_side || short_side || megapixels > 0 || max_side || multiple_of;
  }
};

struct SizePlan {
  int width = 0, height = 0;                  // of the result
  int picture_width = 0, picture_height = 0;  // of the scaled picture
  int x = 0, y = 0;  // of the picture in the result: above 0 is padding, below 0 is cropped
  bool same() const { return width == picture_width && height == picture_height; }
};

// For a picture of in_width x in_height and a model that would scale by default_scale. Sizes are clamped to
// 1..2^30.
SizePlan plan_size(const SizeRequest& request, int in_width, int in_height, double default_scale);

// The factor f with round(in f) = out on both sides, if there is one.
std::optional<double> single_factor(int in_width, int in_height, int out_width, int out_height);

}  // namespace ups::apps
