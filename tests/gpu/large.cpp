// Convolutions at the sizes of real pictures: every fast variant against the naive one, which smaller tests
// hold against the double reference; and images whose offsets exceed 32 bits.
#include "kernels/device/run.h"
#include "tests/simt/kernels/conv_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

// Random numbers that repeat after a megabyte or so: filling gigabytes must not take long.
std::vector<uint16_t> halves(Random& random, float scale) {
  std::vector<uint16_t> v((1 << 19) + 24);
  for (uint16_t& h : v) h = from_float<half_t>(random.normal() * scale).bits;
  return v;
}
void fill(void* device, size_t bytes, const std::vector<uint16_t>& pattern) {
  for (size_t at = 0; at < bytes; at += pattern.size() * 2)
    test_stream().upload(static_cast<char*>(device) + at, pattern.data(),
                         std::min(pattern.size() * 2, bytes - at));
  test_stream().synchronize();
}

// Compares rows [begin, end) of what `run` wrote by two variants; both buffers are NaN before.
struct Layer {
  const char* name;
  int h, w, cin, cout, up = 1, px = 0;
  int begin = 0, end = 0;  // 0: all
};

void check_layer(const Layer& l, Random& random) {
  INFO(l.name << " " << l.cin << "->" << l.cout << " on " << l.w << "x" << l.h);
  Stream& stream = test_stream();
  const int px = l.px ? l.px : l.cin, oh = l.h * l.up, ow = l.w * l.up;
  const int end = l.end ? l.end : oh;
  Conv2d<Tensor> op;
  op.x = {nullptr, DType::f16, 1, l.h, l.w, l.cin, int64_t(l.h) * l.w * px, int64_t(l.w) * px, px};
  DeviceMemory x(stream, size_t(op.x.image) * 2);
  op.x.data = x.data();
  const std::vector<uint16_t> pattern = halves(random, 1);
  const size_t row_bytes = size_t(op.x.row) * 2;
  const int first = std::max(0, l.begin / l.up - 2), last = std::min(l.h, end / l.up + 2);
  fill(static_cast<char*>(x.data()) + size_t(first) * row_bytes, size_t(last - first) * row_bytes, pattern);

  std::vector<float> weights = random.normals(size_t(l.cout) * l.cin * 9, 1 / std::sqrt(9.0f * float(l.cin)));
  Twin<unsigned char> packed(mma_layout(l.cout, l.cin, 3).elements() * 2);
  pack_mma(weights.data(), WeightOrder::oihw, l.cout, l.cin, 3, DType::f16, packed.host());
  packed.upload();
  op.w = {0, l.cout, 3, l.cin, DType::f16, packed.data()};
  op.up = l.up, op.act = Act::lrelu, op.slope = 0.2f;
  op.y = {nullptr, DType::f16, 1, oh, ow, l.cout, int64_t(oh) * ow * l.cout, int64_t(ow) * l.cout, l.cout};
  DeviceMemory y(stream, size_t(op.y.image) * 2);
  op.y.data = y.data();
  const size_t from = size_t(l.begin) * size_t(op.y.row) * 2,
               bytes = size_t(end - l.begin) * size_t(op.y.row) * 2;

  std::vector<uint16_t> expected(bytes / 2), got(bytes / 2);
  const auto run_by = [&](const Conv2dVariant& v, std::vector<uint16_t>& to) {
    stream.fill(static_cast<char*>(y.data()) + from, 0xFF, bytes);
    v.launch(op, stream, {l.begin, end});
    stream.download(to.data(), static_cast<char*>(y.data()) + from, bytes);
    stream.synchronize();
  };
  const auto variants = conv2d_variants();
  REQUIRE(!variants.back().declines(op, stream.device()));
  run_by(variants.back(), expected);
  for (const Conv2dVariant& v : variants.first(variants.size() - 1)) {
    if (v.declines(op, stream.device())) continue;
    INFO("variant " << v.name);
    run_by(v, got);
    // Both sum in f32 and round once to f16: they differ by the sums' rounding and one unit of f16; and by
    // that of the sums of weights as in conv_case.h, with weights of sigma 1 / sqrt(9 cin) instead of 1.
    const double taps = std::string(v.name) == "wgmma-phases" ? 7 * 0x1p-11 * std::sqrt(8 / 27.0) : 0;
    const double sums = taps + 2 * 0x1p-23 * (3 * 9.0 * l.cin + 8 * std::sqrt(9.0 * l.cin) + 8);
    size_t wrong = 0, at = 0;
    for (size_t i = 0; i < got.size(); i++) {
      if (got[i] == expected[i] && (got[i] & 0x7c00) != 0x7c00) continue;
      const float a = to_float(half_t{got[i]}), b = to_float(half_t{expected[i]});
      if (std::abs(a - b) <= sums + std::abs(double(b)) * 0x1p-10) continue;
      if (!wrong++) at = i;
    }
    INFO("first wrong: row " << l.begin + int(at / size_t(op.y.row)) << " x "
                             << at % size_t(op.y.row) / size_t(l.cout) << " c " << at % size_t(l.cout));
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("fast conv2d variants equal the naive one at the sizes of pictures", "[gpu][conv2d][large]") {
  UPS_RANDOM(random);
  for (const Layer& l :
       {Layer{"conv_first", 720, 1280, 3, 64}, Layer{"dense 1", 512, 512, 64, 32, 1, 192},
        Layer{"dense 2", 513, 509, 96, 32, 1, 192}, Layer{"dense 3", 512, 512, 128, 32, 1, 192},
        Layer{"dense 4", 720, 1280, 160, 32, 1, 192}, Layer{"dense 5", 512, 512, 192, 64},
        Layer{"body", 301, 455, 64, 64}, Layer{"up", 512, 512, 64, 64, 2}, Layer{"last", 1024, 1021, 64, 3},
        Layer{"compact end", 512, 512, 64, 48}})
    check_layer(l, random);
}

TEST_CASE("offsets beyond 32 bits are right", "[gpu][conv2d][large]") {
  // 9000 x 9000 x 64 and 30000 x 20000 x 4 elements: more than 2^32, and y as large.
  const Layer layers[] = {{"wide", 9000, 9000, 64, 64, 1, 0, 8950, 9000},
                          {"high", 30000, 20000, 8, 8, 1, 0, 29960, 30000}};
  UPS_RANDOM(random);
  for (const Layer& l : layers) {
    const int64_t bytes = int64_t(l.h) * l.w * (l.cin + l.cout) * 2;
    if (bytes + (int64_t(1) << 30) > test_device().memory_bytes) {
      WARN("skipped: " << l.name << " needs " << (bytes >> 30) << " GiB of device memory");
      continue;
    }
    check_layer(l, random);
  }
}
