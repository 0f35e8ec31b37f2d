// Colours held to a reference, against numpy, scikit-image and Pillow; the 8-bit last touch.
#include "runtime/colour_fix.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "runtime/post.h"
#include "tests/testing.h"

using namespace ups;

namespace {

std::vector<float> golden_floats(const char* path) {
  std::ifstream f(path, std::ios::binary);
  std::stringstream bytes;
  bytes << f.rdbuf();
  std::vector<float> v(bytes.str().size() / sizeof(float));
  std::memcpy(v.data(), bytes.str().data(), v.size() * sizeof(float));
  return v;
}

Image image_of(const float* data, int h, int w, int c) {
  return {const_cast<float*>(data), h, w, c, Depth::f32, int64_t(w) * c * int64_t(sizeof(float))};
}

}  // namespace

TEST_CASE("colours are held to the reference as numpy, scikit-image and Pillow have it",
          "[runtime][colour]") {
  const std::vector<float> data = golden_floats(UPS_GOLDEN "/colour_fix.f32");
  std::ifstream index(UPS_GOLDEN "/colour_fix.txt");
  Pool pool(2);
  std::string name;
  int c, rh, rw, h, w, cases = 0;
  size_t reference, picture, out;
  while (index >> name >> c >> rh >> rw >> h >> w >> reference >> picture >> out) {
    const ColourFix fix = name == "mean"        ? ColourFix::mean
                          : name == "histogram" ? ColourFix::histogram
                                                : ColourFix::lowfreq;
    REQUIRE(out + size_t(h) * w * c <= data.size());
    const ColourAnchor anchor(image_of(data.data() + reference, rh, rw, c), c, fix, pool);
    // With a further channel, which must stay.
    std::vector<float> state(size_t(h) * w * (c + 1), 0.25f);
    for (size_t i = 0; i < size_t(h) * w; i++)
      for (int k = 0; k < c; k++) state[i * (c + 1) + k] = data[picture + i * c + k];
    anchor.apply(state.data(), {h, w}, c + 1, pool);
    // Sums of some thousand values in double; resampling within 1e-5 of Pillow's as tests/kernels/resize.cpp.
    float worst = 0;
    bool kept = true;
    for (size_t i = 0; i < size_t(h) * w; i++) {
      for (int k = 0; k < c; k++)
        worst = std::max(worst, std::abs(state[i * (c + 1) + k] - data[out + i * c + k]));
      kept &= state[i * (c + 1) + c] == 0.25f;
    }
    INFO(name << " " << rh << "x" << rw << "x" << c << " -> " << h << "x" << w);
    CHECK(worst <= 2e-5f);
    CHECK(kept);
    cases++;
  }
  CHECK(cases == 9);
}

TEST_CASE("a picture that has the reference's colours keeps them", "[runtime][colour]") {
  UPS_RANDOM(random);
  Pool pool(2);
  std::vector<float> picture(size_t(21) * 34 * 3);
  for (float& v : picture) v = float(random.integer(0, 255)) / 255;
  for (ColourFix fix : {ColourFix::lowfreq, ColourFix::mean, ColourFix::histogram, ColourFix::none}) {
    std::vector<float> state = picture;
    ColourAnchor(image_of(picture.data(), 21, 34, 3), 3, fix, pool).apply(state.data(), {21, 34}, 3, pool);
    for (size_t i = 0; i < state.size(); i++) REQUIRE(state[i] == Approx(picture[i]).margin(1e-5));
  }
}

TEST_CASE("the last touch rounds to 8 bits and keeps alpha", "[runtime][post]") {
  UPS_RANDOM(random);
  Pool pool(2);
  std::vector<float> picture(size_t(9) * 8 * 4);
  for (float& v : picture) v = random.uniform();
  Post post;
  CHECK_FALSE(post.any());
  post.contour = true;
  CHECK(post.any());
  std::vector<float> out = picture;
  apply_post(out.data(), {9, 8}, 4, post, pool);
  bool changed = false;
  for (size_t i = 0; i < out.size(); i++) {
    CHECK(out[i] * 255 == Approx(std::round(out[i] * 255)).margin(1e-4));
    if (i % 4 == 3) CHECK(out[i] == Approx(picture[i]).margin(0.5 / 255 + 1e-6));
    changed |= std::abs(out[i] - picture[i]) > 0.01f;
  }
  CHECK(changed);
}
