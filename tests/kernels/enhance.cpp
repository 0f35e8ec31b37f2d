// Pillow's enhancers and filters, bit for bit.
#include "kernels/enhance.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

std::vector<uint8_t> golden_bytes(const char* path) {
  std::ifstream f(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(f), {});
}

void run(const std::string& what, const std::string& parameters, uint8_t* p, Extent size, int c, Pool& pool) {
  static const char* const kEnhance[] = {"sharpness", "brightness", "color", "contrast"};
  static const char* const kKernel[] = {"smooth", "detail", "blur", "contour"};
  for (int i = 0; i < 4; i++) {
    if (what == kEnhance[i]) return enhance_u8(p, size, c, Enhance(i), std::stof(parameters), pool);
    if (what == kKernel[i]) return filter_u8(p, size, c, Kernel(i), pool);
  }
  float radius;
  int percent, threshold;
  REQUIRE(sscanf(parameters.c_str(), "%f,%d,%d", &radius, &percent, &threshold) == 3);
  unsharp_mask_u8(p, size, c, radius, percent, threshold, pool);
}

}  // namespace

TEST_CASE("8-bit filters are Pillow's, bit for bit", "[kernels][enhance]") {
  const std::vector<uint8_t> data = golden_bytes(UPS_GOLDEN "/enhance.u8");
  std::ifstream index(UPS_GOLDEN "/enhance.txt");
  Pool pool(2);
  std::string what, parameters;
  int c, h, w, cases = 0;
  size_t in, out;
  while (index >> what >> parameters >> c >> h >> w >> in >> out) {
    const size_t bytes = size_t(h) * w * c;
    REQUIRE(in + bytes <= data.size());
    REQUIRE(out + bytes <= data.size());
    INFO(what << " " << parameters << " " << h << "x" << w << "x" << c);
    std::vector<uint8_t> p(data.begin() + ptrdiff_t(in), data.begin() + ptrdiff_t(in + bytes));
    run(what, parameters, p.data(), {h, w}, c, pool);
    CHECK(std::memcmp(p.data(), data.data() + out, bytes) == 0);
    // The same colours with alpha, which stays.
    std::vector<uint8_t> with_alpha;
    for (size_t i = 0; i < bytes; i++) {
      with_alpha.push_back(data[in + i]);
      if (int(i) % c == c - 1) with_alpha.push_back(uint8_t(i * 7));
    }
    run(what, parameters, with_alpha.data(), {h, w}, c + 1, pool);
    bool same = true;
    for (size_t i = 0; i < size_t(h) * w; i++) {
      for (int k = 0; k < c; k++) same &= with_alpha[i * (c + 1) + k] == data[out + i * c + k];
      same &= with_alpha[i * (c + 1) + c] == uint8_t((i * c + c - 1) * 7);
    }
    CHECK(same);
    cases++;
  }
  CHECK(cases == 336);
}

TEST_CASE("8-bit filters refuse what has no meaning", "[kernels][enhance]") {
  Pool pool(1);
  uint8_t p[3] = {};
  CHECK_THROWS_AS(enhance_u8(p, {1, 1}, 3, Enhance::color, NAN, pool), Error);
  CHECK_THROWS_AS(filter_u8(p, {0, 1}, 3, Kernel::blur, pool), Error);
  CHECK_THROWS_AS(unsharp_mask_u8(p, {1, 1}, 3, -1, 100, 0, pool), Error);
  CHECK_THROWS_AS(unsharp_mask_u8(p, {1, 1}, 3, 1, 100, 256, pool), Error);
}
