// Sizes and colours in the terms of ups_finish.
#include "apps/finish_settings.h"

#include "apps/failure.h"

namespace ups::apps {

bool FinishSettings::any() const {
  return values.sharpen != UPS_SHARPEN_NONE || values.brightness != 0 || values.contrast != 0 ||
         values.saturation != 0 || values.dither != UPS_DITHER_NONE;
}

std::string finish_text(const FinishSettings& settings) {
  const ups_finish& f = settings.values;
  std::string text;
  auto add = [&](bool done, const char* what) {
    if (done) text += (text.empty() ? "" : ", ") + std::string(what);
  };
  add(f.sharpen != UPS_SHARPEN_NONE, "sharpened");
  add(f.brightness != 0 || f.contrast != 0 || f.saturation != 0, "adjusted");
  add(f.dither != UPS_DITHER_NONE, "dithered");
  return text;
}

void crop_plan(SizePlan& p, const Rectangle& crop) {
  if (int64_t(crop.x) + crop.width > p.width || int64_t(crop.y) + crop.height > p.height) {
    fail(kUsage, "--crop: got ", crop.width, "x", crop.height, "+", crop.x, "+", crop.y,
         ", expected it within the picture of ", p.width, "x", p.height);
  }
  p.width = crop.width, p.height = crop.height;
  p.x -= crop.x, p.y -= crop.y;
}

ups_finish finish_of(const FinishSettings& settings, const SizePlan& plan,
                     const std::optional<Colour>& background) {
  ups_finish f = settings.values;
  f.size = sizeof f;
  f.width = plan.width, f.height = plan.height;
  f.x = plan.x, f.y = plan.y;
  if (background) {
    f.background[0] = background->r, f.background[1] = background->g, f.background[2] = background->b;
    f.background[3] = 1;
  }
  return f;
}

}  // namespace ups::apps
