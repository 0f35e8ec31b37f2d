// convert.cu, blend.cu, rearrange.cu against their definitions and the host versions.
#include <cstring>

#include "kernels/blend.h"
#include "kernels/convert.h"
#include "kernels/cpu/run.h"
#include "tests/simt/kernels/conv_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

Stream& stream() { return test_stream(); }

DType any_dtype(Random& r) { return DType(r.integer(0, 2)); }

// f(y, x, c) for every element of t; true if all hold.
template <class F>
bool everywhere(const Tensor& t, F&& f) {
  for (int n = 0; n < t.n; n++)
    for (int y = 0; y < t.h; y++)
      for (int x = 0; x < t.w; x++)
        for (int c = 0; c < t.c; c++)
          if (!f(n, y, x, c)) return false;
  return true;
}
// The image as the device left it.
const Tensor& fetched(TwinImage& image) {
  image.download();
  return image.mirror;
}
float at(const Tensor& t, int n, int y, int x, int c) {
  return load_element(t, n * t.image + y * t.row + x * t.px + c);
}

}  // namespace

TEST_CASE("pixel_unshuffle, copy and upsample on the device equal their definitions",
          "[simt][rearrange][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 20; round++) {
    take_schedule(round);
    const int r = random.integer(1, 4), h = random.integer(1, 9), w = random.integer(1, 9),
              c = random.integer(1, 7), n = random.integer(1, 2), begin = random.integer(0, h - 1);
    const DType d = any_dtype(random);
    TwinImage small(d, n, h, w, c, 1, 3, &random), big(d, n, h * r, w * r, c, 0, 2, &random);

    TwinImage folded(d, n, h, w, c * r * r, 2, 2, nullptr);
    run(PixelUnshuffle<Tensor>{big.on_device, folded.on_device, r}, stream(), {begin});
    CHECK(everywhere(fetched(folded), [&](int i, int y, int x, int k) {
      const float v = at(folded.mirror, i, y, x, k);
      return y < begin ? std::isnan(v)
                       : v == at(big.mirror, i, y * r + k / r % r, x * r + k % r, k / (r * r));
    }));

    TwinImage up(d, n, h * r, w * r, c, 0, 1, nullptr);
    run(Upsample<Tensor>{small.on_device, up.on_device, r}, stream(), {0, begin + 1});
    CHECK(everywhere(fetched(up), [&](int i, int y, int x, int k) {
      const float v = at(up.mirror, i, y, x, k);
      return y > begin ? std::isnan(v) : v == at(small.mirror, i, y / r, x / r, k);
    }));

    TwinImage same(DType::f32, n, h, w, c, 0, 5, nullptr);
    run(Copy<Tensor>{small.on_device, same.on_device}, stream());
    CHECK(everywhere(fetched(same), [&](int i, int y, int x, int k) {
      return at(same.mirror, i, y, x, k) == at(small.mirror, i, y, x, k);
    }));
    CHECK_THROWS_AS(run(Copy<Tensor>{small.on_device, same.on_device.channels(0, 0)}, stream()), Error);
  }
  take_schedule(0);
}

TEST_CASE("copies of whole vectors between slices leave their neighbours alone", "[simt][rearrange][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 8; round++) {
    take_schedule(round);
    const int n = random.integer(1, 2), h = random.integer(1, 4), w = random.integer(1, round ? 40 : 700),
              c = 8 * random.integer(1, 9), begin = random.integer(0, h - 1);
    const DType d = any_dtype(random);
    TwinImage from(d, n, h, w, c, 8 * random.integer(0, 2), 24, &random),
        to(d, n, h, w, c, 8, 8 * 3, nullptr);
    run(Copy<Tensor>{from.on_device, to.on_device}, stream(), {begin});
    CHECK(everywhere(fetched(to), [&](int i, int y, int x, int k) {
      const float v = at(to.mirror, i, y, x, k);
      return y < begin ? std::isnan(v) : v == at(from.mirror, i, y, x, k);
    }));
    bool untouched = true;
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++)
        untouched =
            untouched && std::isnan(at(to.mirror, 0, y, x, -1)) && std::isnan(at(to.mirror, 0, y, x, c));
    CHECK(untouched);
  }
  take_schedule(0);
}

TEST_CASE("cubic upsampling on the device equals the host's", "[simt][rearrange][small]") {
  UPS_RANDOM(random);
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  for (int round = 0; round < 6; round++) {
    take_schedule(round);
    const int up = random.integer(2, 4), h = random.integer(1, 5), w = random.integer(1, 5), c = 3;
    TwinImage small(DType::f32, 1, h, w, c, 0, 1, &random),
        big(DType::f32, 1, h * up, w * up, c, 0, 0, nullptr);
    std::vector<float> expected(size_t(h) * up * w * up * c);
    const Tensor on_host = dense_f32(expected.data(), h * up, w * up, c);
    cpu::run(Upsample<Tensor>{small.on_host, on_host, up, true}, context);
    run(Upsample<Tensor>{small.on_device, big.on_device, up, true}, stream());
    // 16 products of values within 5, and weights rounded in f32.
    CHECK(everywhere(fetched(big), [&](int i, int y, int x, int k) {
      return std::abs(at(big.mirror, i, y, x, k) - on_host.at(y, x)[k]) < 1e-4;
    }));
  }
  take_schedule(0);
}

TEST_CASE("crop_tile on the device equals the host's bit for bit", "[simt][convert][small]") {
  UPS_RANDOM(random);
  Pool pool(1);
  for (int round = 0; round < 30; round++) {
    const int h = random.integer(1, 9), w = random.integer(1, 9), c = random.integer(1, 4);
    const Depth depth = Depth(random.integer(0, 2));
    const int64_t stride = int64_t(w) * c * depth_bytes(depth) + random.integer(0, 3) * 4;
    Twin<unsigned char> image(size_t(h * stride));
    if (depth == Depth::f32)
      for (size_t i = 0; i + 3 < image.size(); i += 4) {
        const float v = random.uniform(-0.2f, 1.2f);
        std::memcpy(&image[i], &v, 4);
      }
    else
      for (size_t i = 0; i < image.size(); i++) image[i] = (unsigned char)random.integer(0, 255);
    image.upload();

    const int th = random.integer(1, 12), tw = random.integer(1, 12), y0 = random.integer(-20, 20),
              x0 = random.integer(-20, 20), count = random.integer(1, c);
    const DType d = any_dtype(random);
    TwinImage tile(d, 1, th, tw, count + random.integer(0, 2), 1, 2, nullptr);
    CropTile op{{image.data(), h, w, c, PixelDepth(depth), stride}, tile.on_device, y0, x0, count};
    ChannelMap map;
    map.count = count;
    for (int k = 0; k < count; k++) op.from[k] = map.from[k] = random.integer(0, c - 1);
    op.rest = random.uniform();
    run(op, stream());
    std::vector<float> expected(size_t(th) * tw * count);
    crop_tile(image.host(), {h, w}, c, depth, stride, y0, x0, map, dense_f32(expected.data(), th, tw, count),
              pool);
    CHECK(everywhere(fetched(tile), [&](int, int y, int x, int k) {
      const float want = k < count ? expected[(size_t(y) * tw + x) * count + k] : op.rest;
      return at(tile.mirror, 0, y, x, k) == round_to(d, want);
    }));
  }
}

TEST_CASE("store_tile on the device equals the host's rounding bit for bit", "[simt][convert][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 30; round++) {
    const int th = random.integer(1, 6), tw = random.integer(1, 9), c = random.integer(1, 4);
    const int count = random.integer(1, c), first = random.integer(0, c - count);
    const Depth depth = Depth(random.integer(0, 2));
    const int y0 = random.integer(0, 3), x0 = random.integer(0, 3), h = th + y0 + 1, w = tw + x0 + 1;
    const int64_t stride = int64_t(w) * c * depth_bytes(depth) + 8;
    TwinImage tile(any_dtype(random), 1, th, tw, count, 0, 1, &random);
    if (random.integer(0, 1)) store_element(tile.mirror, 0, NAN);
    tile.upload();
    Twin<unsigned char> image(size_t(h * stride));
    std::memset(image.host(), 7, image.size());
    image.upload();
    run(StoreTile{tile.on_device, {image.data(), h, w, c, PixelDepth(depth), stride}, y0, x0, first, count},
        stream());
    image.download();
    std::vector<unsigned char> expected(size_t(h * stride), 7);
    for (int y = 0; y < th; y++)
      for (int x = 0; x < tw; x++)
        for (int k = 0; k < count; k++) {
          const float v = at(tile.mirror, 0, y, x, k);
          from_float(&v, depth,
                     &expected[size_t((y0 + y) * stride + ((x0 + x) * c + first + k) * depth_bytes(depth))],
                     1);
        }
    if (depth == Depth::f32)  // NaN payloads may differ
      CHECK(image.size() == expected.size());
    else
      CHECK(std::memcmp(image.host(), expected.data(), expected.size()) == 0);
  }
}

TEST_CASE("images and tiles that do not belong together are refused", "[simt][convert]") {
  TwinImage tile(DType::f32, 1, 2, 3, 2, 0, 0, nullptr);
  Twin<unsigned char> pixels(3 * 4 * 3);
  const DeviceImage image{pixels.data(), 3, 4, 3, PixelDepth::u8, 12};
  const auto refused = [](auto op, auto change) {
    run(op, stream());
    change(op);
    CHECK_THROWS_AS(run(op, stream()), Error);
  };
  const StoreTile store{tile.on_device, image, 1, 1, 1, 2};
  refused(store, [](StoreTile& op) { op.first_c = 2; });
  refused(store, [](StoreTile& op) { op.count = 3; });
  refused(store, [](StoreTile& op) { op.y0 = 2; });
  refused(store, [](StoreTile& op) { op.x0 = -1; });
  refused(store, [](StoreTile& op) { op.image.data = nullptr; });
  const CropTile crop{image, tile.on_device, -5, 9, 2};
  refused(crop, [](CropTile& op) { op.from[1] = 3; });
  refused(crop, [](CropTile& op) { op.count = 3; });
  refused(crop, [](CropTile& op) { op.tile.n = 2; });
}

TEST_CASE("blending one tile by two overlapping halves reproduces it", "[simt][blend][small]") {
  UPS_RANDOM(random);
  const int h = 5, w = 20, c = 3, split = 8, fade = 6;  // columns [0, 14) and [8, 20)
  TwinImage whole(DType::f32, 1, h, w, c, 0, 0, &random), band(DType::f32, 1, h, w, c, 0, 0, nullptr);
  stream().fill(band.memory->data(), 0, band.memory->size());
  Twin<float> left(split + fade), right(w - split);
  for (int x = 0; x < split + fade; x++) left[size_t(x)] = x < split ? 1 : 1 - ramp(x - split, fade);
  for (int x = split; x < w; x++) right[size_t(x - split)] = x < split + fade ? ramp(x - split, fade) : 1;
  left.upload(), right.upload();
  Tensor a = whole.on_device, b = whole.on_device;
  a.w = split + fade;
  b.w = w - split, b.data = static_cast<float*>(b.data) + split * c;
  run(BlendTile{a, band.on_device, 0, left.data()}, stream());
  run(BlendTile{b, band.on_device, split, right.data()}, stream());
  CHECK(everywhere(fetched(band), [&](int, int y, int x, int k) {
    return std::abs(at(band.mirror, 0, y, x, k) - at(whole.mirror, 0, y, x, k)) < 1e-6f;
  }));
  CHECK_THROWS_AS(run(BlendTile{a, band.on_device, 7}, stream()), Error);
}

TEST_CASE("recorded work does nothing until it is replayed, and then as often as asked",
          "[simt][stream][small]") {
  UPS_RANDOM(random);
  TwinImage x(DType::f32, 1, 3, 4, 2, 0, 0, &random), y(DType::f32, 1, 3, 4, 2, 0, 0, nullptr);
  auto same = [&] {
    y.download();
    return std::memcmp(x.memory->host(), y.memory->host(), x.memory->size()) == 0;
  };
  Recording recording;
  CHECK_FALSE(recording.ready());
  recording.begin(stream());
  run(Copy<Tensor>{x.on_device, y.on_device}, stream());
  recording.end(stream());
  REQUIRE(recording.ready());
  CHECK_FALSE(same());
  for (int i = 0; i < 2; i++) {
    (*x.memory)[0] ^= 1;
    x.upload();
    recording.replay(stream());
    CHECK(same());
  }
}

TEST_CASE("packed weights hold every weight once and zeros elsewhere, from either order", "[simt][pack]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 10; round++) {
    const int k = 1 + 2 * random.integer(0, 2), cin = random.integer(1, 40), cout = random.integer(1, 40);
    const MmaLayout layout = mma_layout(cout, cin, k);
    std::vector<float> oihw = random.normals(size_t(cout) * cin * k * k), hwio(oihw.size());
    for (int co = 0; co < cout; co++)
      for (int ci = 0; ci < cin; ci++)
        for (int t = 0; t < k * k; t++)
          hwio[(size_t(t) * cin + ci) * cout + co] = oihw[(size_t(co) * cin + ci) * k * k + t];
    std::vector<float> a(layout.elements(), NAN), b = a;
    std::vector<uint16_t> halves(layout.elements());
    pack_mma(oihw.data(), WeightOrder::oihw, cout, cin, k, DType::f32, a.data());
    pack_mma(hwio.data(), WeightOrder::hwio, cout, cin, k, DType::f32, b.data());
    pack_mma(hwio.data(), WeightOrder::hwio, cout, cin, k, DType::f16, halves.data());
    CHECK(a == b);
    size_t zeros = 0;
    bool same = true, rounded = true;
    for (size_t i = 0; i < a.size(); i++) {
      zeros += a[i] == 0;
      rounded = rounded && halves[i] == from_float<half_t>(a[i]).bits;
    }
    for (int co = 0; co < cout; co++)
      for (int ci = 0; ci < cin; ci++)
        for (int t = 0; t < k * k; t++)
          same = same && a[layout.index(t, ci, co)] == oihw[(size_t(co) * cin + ci) * k * k + t];
    CHECK(same);
    CHECK(rounded);
    CHECK(zeros == a.size() - oihw.size());
  }
  const float huge = 70000;
  uint16_t out[16 * 16];
  CHECK_THROWS_WITH(pack_mma(&huge, WeightOrder::oihw, 1, 1, 1, DType::f16, out), Catch::Contains("65504"));
}
