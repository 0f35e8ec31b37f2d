// Operators that move data, against their definitions in kernels/ops.h.
#include "kernels/cpu/run.h"
#include "tests/testing.h"

using namespace ups;

TEST_CASE("pixel_unshuffle, copy and upsample equal their definitions", "[kernels][rearrange]") {
  UPS_RANDOM(random);
  Pool pool(2);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  for (int round = 0; round < 20; round++) {
    const int r = random.integer(1, 4), h = random.integer(1, 9), w = random.integer(1, 9),
              c = random.integer(1, 7);
    std::vector<float> small = random.normals(size_t(h) * w * c),
                       big = random.normals(size_t(h) * r * w * r * c);

    std::vector<float> out(size_t(h) * w * c * r * r);
    cpu::run(PixelUnshuffle<Tensor>{dense_f32(big.data(), h * r, w * r, c),
                                    dense_f32(out.data(), h, w, c * r * r), r},
             context);
    bool same = true;
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++)
        for (int k = 0; k < c * r * r; k++) {
          const int ch = k / (r * r), i = k / r % r, j = k % r;
          same = same && out[(size_t(y) * w + x) * c * r * r + k] ==
                             big[(size_t(y * r + i) * w * r + x * r + j) * c + ch];
        }
    CHECK(same);

    std::vector<float> up(big.size(), -1);
    const int begin = random.integer(0, h * r - 1);
    cpu::run(Upsample<Tensor>{dense_f32(small.data(), h, w, c), dense_f32(up.data(), h * r, w * r, c), r},
             context, {begin, 1 << 30});
    same = true;
    for (int y = 0; y < h * r; y++)
      for (int x = 0; x < w * r; x++)
        for (int k = 0; k < c; k++)
          same = same && up[(size_t(y) * w * r + x) * c + k] ==
                             (y < begin ? -1 : small[(size_t(y / r) * w + x / r) * c + k]);
    CHECK(same);

    std::vector<float> wide(size_t(h) * w * (c + 3), -1);
    cpu::run(
        Copy<Tensor>{dense_f32(small.data(), h, w, c), dense_f32(wide.data(), h, w, c + 3).channels(2, c)},
        context);
    same = true;
    for (int p = 0; p < h * w; p++)
      for (int k = 0; k < c + 3; k++)
        same = same &&
               wide[size_t(p) * (c + 3) + k] == (k >= 2 && k < c + 2 ? small[size_t(p) * c + k - 2] : -1);
    CHECK(same);
  }
}
