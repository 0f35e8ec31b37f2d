// What is done to a picture between the network and the file, beside its size.
#pragma once

#include <optional>
#include <string>

#include "apps/codecs/image_io.h"
#include "apps/size.h"
#include "upscale.h"

namespace ups::apps {

struct Rectangle {
  int width = 0, height = 0, x = 0, y = 0;
};

struct FinishSettings {
  std::optional<Rectangle> crop;  // of the picture that --size and --fit give
  ups_finish values{};            // sharpening, adjustments, dithering

  bool any() const;  // beside the crop
};

// "sharpened, adjusted, dithered"
std::string finish_text(const FinishSettings& settings);

// Moves the picture on a canvas that is the rectangle. Throws Failure(kUsage) where that sticks out.
void crop_plan(SizePlan& plan, const Rectangle& crop);

// For a picture of plan.picture_width x picture_height. Without a background padding is transparent, or black
// in a picture without alpha.
ups_finish finish_of(const FinishSettings& settings, const SizePlan& plan,
                     const std::optional<Colour>& background);

}  // namespace ups::apps
