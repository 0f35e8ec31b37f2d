// kernels/device/picture.h against the host's blending and resampling.
#include "kernels/blend.h"
#include "kernels/convert.h"
#include "kernels/device/picture.h"
#include "kernels/resize.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

void finish() { test_stream().synchronize(); }

struct TwinTaps {
  Twin<int> first, count;
  Twin<float> weights;
  int max_count;
  explicit TwinTaps(const TapTable& t)
      : first(size_t(t.out())),
        count(size_t(t.out())),
        weights(size_t(t.out()) * t.max_count()),
        max_count(t.max_count()) {
    for (int i = 0; i < t.out(); i++) {
      first[size_t(i)] = t[i].first, count[size_t(i)] = t[i].count;
      for (int k = 0; k < t[i].count; k++) weights[size_t(i * max_count + k)] = t[i].weights[k];
    }
    first.upload(), count.upload(), weights.upload();
  }
  DeviceTaps on_device() { return {first.data(), count.data(), weights.data(), max_count}; }
};

}  // namespace

TEST_CASE("a tile is bad if it is not finite, or zero although its input is not", "[simt][picture]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 24; round++) {
    take_schedule(round);
    const DType d = DType(round % 3);
    TwinImage x(d, 1, random.integer(1, 6), random.integer(1, 9), 3, 0, 5, &random),
        y(d, 1, random.integer(1, 6), random.integer(1, 400), 3, 0, random.integer(0, 1), &random);
    Twin<TileFlags> flags(1);
    const auto look = [&] {
      x.upload(), y.upload();
      flags[0] = {};
      flags.upload();
      run(CheckTile{x.on_device, y.on_device, flags.data()}, test_stream());
      finish();
      flags.download();
      return flags[0];
    };
    const auto set = [&](TwinImage& image, float v) {  // every element
      const Tensor& t = image.mirror;
      for (int r = 0; r < t.h; r++)
        for (int c = 0; c < t.w; c++)
          for (int k = 0; k < t.c; k++) store_element(t, r * t.row + c * t.px + k, v);
    };
    CHECK_FALSE(is_bad(look()));
    const Tensor& t = y.mirror;
    const int64_t at =
        random.integer(0, t.h - 1) * t.row + random.integer(0, t.w - 1) * t.px + random.integer(0, t.c - 1);
    const float kept = load_element(t, at);
    store_element(t, at, round % 2 ? INFINITY : NAN);
    CHECK(is_bad(look()));
    store_element(t, at, kept);
    set(y, 0);
    CHECK(is_bad(look()));
    store_element(t, at, 1);
    CHECK_FALSE(is_bad(look()));
    set(y, 0), set(x, 0);
    CHECK_FALSE(is_bad(look()));  // black stays black
  }
  take_schedule(0);
}

TEST_CASE("rows of tiles joined on the device equal the host's bit for bit", "[simt][picture]") {
  UPS_RANDOM(random);
  Pool pool(1);
  for (int round = 0; round < 8; round++) {
    take_schedule(round);
    const int c = random.integer(1, 4), fade_x = random.integer(0, 4), fade_y = random.integer(0, 4);
    // Two by two tiles: columns [0, a + fade) and [a, w), rows likewise.
    const int a = random.integer(4, 9), w = a + fade_x + random.integer(4, 9), b = random.integer(4, 9),
              h = b + fade_y + random.integer(4, 9);
    const Share columns[2] = {{0, a + fade_x, 0, fade_x}, {a, w, fade_x, 0}};
    const Share rows[2] = {{0, b + fade_y, 0, fade_y}, {b, h, fade_y, 0}};
    TileBlender blender(w, c);
    std::vector<float> expected(size_t(w) * h * c), got(expected.size());
    Twin<float> ramp_y(size_t(fade_y) + 1);
    for (int j = 0; j < fade_y; j++) ramp_y[size_t(j)] = ramp(j, fade_y);
    ramp_y.upload();
    TwinImage above(DType::f32, 1, std::max(1, fade_y), w, c, 0, 0, nullptr);
    for (const Share& row : rows) {
      blender.start(row);
      TwinImage band(DType::f32, 1, row.size(), w, c, 0, 0, nullptr);
      test_stream().fill(band.on_device.data, 0, band.memory->size());
      for (const Share& column : columns) {
        TwinImage tile(DType::f32, 1, row.size(), column.size(), c, 0, 0, &random);
        blender.add(tile.on_host, row.begin, column.begin, column, pool);
        Twin<float> weights(size_t(column.size()));
        for (int p = column.begin; p < column.end; p++) weights[size_t(p - column.begin)] = weight(column, p);
        weights.upload();
        Twin<TileFlags> flags(2);
        flags[0] = {0, 1, 1}, flags[1] = {1, 1, 1};
        flags.upload();
        for (int bad = 0; bad < 2; bad++) {  // the second time nothing is added
          run(BlendTile{tile.on_device, band.on_device, column.begin, weights.data(), flags.data() + bad},
              test_stream());
        }
        finish();
      }
      run(BlendRows{band.on_device, above.on_device, row.up, row.down, ramp_y.data()}, test_stream());
      finish();
      band.download();
      std::memcpy(got.data() + size_t(row.begin) * w * c, band.memory->host(),
                  size_t(row.size() - row.down) * w * c * sizeof(float));
      blender.finish(pool, [&](int y, int n, const float* v) {
        std::memcpy(expected.data() + size_t(y) * w * c, v, size_t(n) * w * c * sizeof(float));
      });
    }
    CHECK(got == expected);
  }
  take_schedule(0);
}

TEST_CASE("resampling on the device equals the host's", "[simt][picture]") {
  UPS_RANDOM(random);
  Pool pool(1);
  for (int round = 0; round < 24; round++) {
    const Filter filter = Filter(round % 6);
    const int c = random.integer(1, 4), h = random.integer(1, 30),
              w = random.integer(1, round < 12 ? 200 : 30), out_h = random.integer(1, 40),
              out_w = random.integer(1, 40);
    const Depth depth = Depth(random.integer(0, 2));
    TwinImage x(round % 2 ? DType::f32 : DType::f16, 1, h, w, c, 0, random.integer(0, 3), &random),
        middle(DType::f32, 1, h, out_w, c, 0, 0, nullptr);
    std::vector<float> packed, expected(size_t(out_h) * out_w * c);
    for (int y = 0; y < h; y++)
      for (int i = 0; i < w; i++) packed.insert(packed.end(), x.on_host.at(y, i), x.on_host.at(y, i) + c);
    resize(packed.data(), {h, w}, c, expected.data(), {out_h, out_w}, filter, pool);

    const TapTable table_x(w, out_w, filter), table_y(h, out_h, filter);
    TwinTaps taps_x(table_x), taps_y(table_y);
    run(ResizeRows{x.on_device, middle.on_device, taps_x.on_device()}, test_stream());
    const int first = random.integer(0, out_h - 1), n = random.integer(1, out_h - first);
    const int64_t stride = int64_t(out_w) * c * depth_bytes(depth);
    Twin<unsigned char> image{size_t(n * stride)};
    run(ResizeColumns{middle.on_device,
                      {image.data(), n, out_w, c, PixelDepth(depth), stride},
                      first,
                      taps_y.on_device()},
        test_stream());
    finish();
    image.download();
    // Sums of `count` products in another order, twice; the weights' absolute values sum to less than 2.
    const double error = 4 * 0x1p-24 * (table_x.max_count() + table_y.max_count()) * 5;
    const double step = depth == Depth::u8 ? 1 / 255.0 : depth == Depth::u16 ? 1 / 65535.0 : 0;
    bool same = true;
    for (size_t i = 0; i < size_t(n) * out_w * c; i++) {
      double got = 0;
      if (depth == Depth::u8)
        got = image[i] / 255.0;
      else if (depth == Depth::u16)
        got = reinterpret_cast<const uint16_t*>(image.host())[i] / 65535.0;
      else
        got = reinterpret_cast<const float*>(image.host())[i];
      double want = expected[size_t(first) * out_w * c + i];
      if (step > 0) want = std::min(1.0, std::max(0.0, want));
      same = same && std::abs(got - want) <= error + step * 0.5001;
    }
    INFO(w << "x" << h << " -> " << out_w << "x" << out_h << ", filter " << filter_name(filter));
    CHECK(same);
  }
}
