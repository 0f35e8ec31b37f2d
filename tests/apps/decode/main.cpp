// Pictures as the tool decodes them, for tests in other languages. Reads paths, one a line; writes for each a
// line "WIDTH HEIGHT CHANNELS BITS" and the pixels as little-endian RGBA of 16 bits, or the line "failed
// SENTENCE".
#include <cstdio>
#include <iostream>
#include <string>

#include "apps/codecs/image_io.h"
#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"

using namespace ups::apps;

namespace {

void print(Image image) {
  printf("%d %d %d %d\n", image.width, image.height, image.channels, 8 * Image::sample_bytes(image.depth));
  image = convert_depth(std::move(image), UPS_U16);
  const uint16_t* s = reinterpret_cast<const uint16_t*>(image.pixels.get());
  const int c = image.channels;
  for (size_t i = 0, n = size_t(image.width) * size_t(image.height); i < n; i++, s += c) {
    const uint16_t rgba[4] = {s[0], s[c > 2 ? 1 : 0], s[c > 2 ? 2 : 0], c % 2 ? uint16_t(0xffff) : s[c - 1]};
    for (uint16_t v : rgba) putchar(v & 255), putchar(v >> 8);
  }
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    try {
      print(read_image(path));
    } catch (const Failure& e) {
      printf("failed %s\n", e.what());
    }
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
