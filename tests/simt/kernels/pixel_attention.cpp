// The variants of attention over all pixels against their definition in double.
#include "tests/reference/pixel_attention.h"

#include <algorithm>

#include "kernels/device/run.h"
#include "tests/device/twin.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

double unit(DType d) { return d == DType::f16 ? 0x1p-11 : d == DType::bf16 ? 0x1p-8 : 0x1p-24; }

struct AttentionSpec {
  int n = 1, h = 1, w = 1, d = 64, dv = 64;
  DType dtype = DType::f16;
  float scale = 0.1f;
  int row_begin = 0, row_end = 1 << 30;
  int extra = 0;            // channels beyond the slice
  bool descending = false;  // the largest scores come last: the maximum moves with every tile
};

// How far y may be off: weights are rounded to 16 bits (those below 2^-14 of the largest by 2^-25 in f16),
// and enter as a mean of values; scores are f32 sums of d products, off by eps (d + 8) of their absolute sum
// at most, in practice sqrt(d); then storage.
double tolerance(const AttentionSpec& s, double want, double largest_v, double largest_score, bool rounded) {
  const double eps = 0x1p-23;
  const double score = eps * largest_score * (8 * std::sqrt(double(s.d)) + 16), sum = eps * 4 * s.h * s.w;
  const double weight = rounded ? unit(s.dtype) + (s.dtype == DType::f16 ? 0x1p-25 * s.h * s.w : 0) : 0;
  return unit(s.dtype) * std::abs(want) + largest_v * (2 * score + sum + weight + 16 * eps) +
         (s.dtype == DType::f16 ? 0x1p-25 : 0);
}

// Empty if y is right in its rows and nothing else was written.
std::string verdict(const AttentionVariant& variant, const AttentionSpec& s, Random& random,
                    const DeviceInfo& device) {
  Stream stream(device);
  TwinImage q(s.dtype, s.n, s.h, s.w, s.d, 0, s.extra, &random),
      k(s.dtype, s.n, s.h, s.w, s.d, 0, 0, &random), v(s.dtype, s.n, s.h, s.w, s.dv, 0, s.extra, &random),
      y(s.dtype, s.n, s.h, s.w, s.dv, 0, s.extra, nullptr);
  if (s.descending) {  // k grows along q's mean direction: q = k for all, times a ramp
    for (size_t i = 0; i < k.host.size(); i++) {
      const size_t pixel = i / size_t(s.d);
      k.host[i] = round_to(s.dtype, float(pixel + 1) / float(s.n * s.h * s.w));
      store_element(k.mirror, int64_t(i), k.host[i]);
    }
    k.upload();
  }
  const Attention<Tensor> op{q.on_device, k.on_device, v.on_device, y.on_device, s.scale};
  if (const char* reason = variant.declines(op, device)) return std::string("declined: it ") + reason;
  const int end = std::min(s.row_end, s.h);
  variant.launch(op, stream, {s.row_begin, end});
  stream.synchronize();
  y.download();
  const bool rounded = std::string(variant.name) != "plain";
  for (int n = 0; n < s.n; n++) {
    auto image = [n](Tensor t) {
      t.data = static_cast<float*>(t.data) + n * t.image;
      return t;
    };
    const auto expected = reference::attention(image(q.on_host), image(k.on_host), image(v.on_host), s.scale);
    double largest_v = 0, q2 = 0, k2 = 0;
    for (int i = 0; i < s.h * s.w; i++) {
      double a = 0, b = 0;
      for (int c = 0; c < s.d; c++) {
        a += std::pow(image(q.on_host).at(i / s.w, i % s.w)[c], 2);
        b += std::pow(image(k.on_host).at(i / s.w, i % s.w)[c], 2);
      }
      q2 = std::max(q2, a), k2 = std::max(k2, b);
      for (int c = 0; c < s.dv; c++)
        largest_v = std::max(largest_v, std::abs(double(image(v.on_host).at(i / s.w, i % s.w)[c])));
    }
    for (int i = 0; i < s.h * s.w; i++)
      for (int c = 0; c < int(y.mirror.px); c++) {
        const float got = load_element(y.mirror, n * y.mirror.image + int64_t(i) * y.mirror.px + c);
        const bool inside = c < s.dv && i / s.w >= s.row_begin && i / s.w < end;
        const double want = inside ? expected[size_t(i) * s.dv + c] : 0;
        const double may = tolerance(s, want, largest_v, std::sqrt(q2 * k2) * std::abs(s.scale), rounded);
        if (inside ? !(std::abs(got - want) <= may) : !std::isnan(got)) {
          std::ostringstream o;
          o << variant.name << " [" << s.n << ", " << s.h << ", " << s.w << "] d " << s.d << " dv " << s.dv
            << " " << dtype_name(s.dtype) << " scale " << s.scale << " rows " << s.row_begin << ".." << end
            << ": token " << i << " channel " << c << " of image " << n << ": got " << got << ", expected "
            << want << " +- " << may;
          return o.str();
        }
      }
  }
  return {};
}

DeviceInfo device_of(int sm, int smem_kb, int sms) {
  DeviceInfo d = test_device();
  if (!kOnGpu) d.sm = sm;
  d.smem_bytes = std::min(kOnGpu ? d.smem_bytes : smem_kb << 10, smem_kb << 10), d.num_sms = sms;
  return d;
}

const AttentionVariant* variant(const char* name) {
  for (const AttentionVariant& v : attention_variants())
    if (std::string(v.name) == name) return &v;
  return nullptr;
}

}  // namespace

TEST_CASE("attention on tensor cores equals its definition for any number of tokens",
          "[simt][pixel_attention][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < rounds(16, 200); round++) {
    take_schedule(round);
    AttentionSpec s;
    s.n = round % 5 == 4 ? 2 : 1;
    s.h = random.integer(1, 12), s.w = random.integer(1, 17);
    if (round == 0) s.h = s.w = 1;
    s.d = 8 * random.integer(1, 16), s.dv = 8 * random.integer(1, 16);
    s.dtype = round % 2 ? DType::bf16 : DType::f16;
    s.scale = random.uniform(0.02f, 0.6f);
    s.extra = 8 * random.integer(0, 2);
    if (random.integer(0, 1))
      s.row_begin = random.integer(0, s.h - 1), s.row_end = random.integer(s.row_begin + 1, s.h);
    CHECK(verdict(*variant("mma"), s, random, device_of(80, 99, 2)) == "");
  }
  take_schedule(0);
}

TEST_CASE("attention of 512 channels equals its definition, in tiles of 32 and 64 queries",
          "[simt][pixel_attention][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 6; round++) {
    take_schedule(round + 1);
    AttentionSpec s;
    s.h = random.integer(5, 10), s.w = random.integer(13, 15);
    s.d = round < 4 ? 512 : 136, s.dv = round < 5 ? 512 : 256;
    s.dtype = round % 2 ? DType::bf16 : DType::f16;
    s.scale = 1 / std::sqrt(float(s.d)) * (round == 2 ? 8 : 1);
    s.descending = round == 3;
    // One SM: there are enough queries for tiles of 64.
    CHECK(verdict(*variant("mma"), s, random, device_of(80, round % 3 == 2 ? 99 : 163, 1)) == "");
  }
  take_schedule(0);
}

TEST_CASE("attention on wgmma equals its definition for any number of tokens",
          "[simt][pixel_attention][hopper][small]") {
  if (kOnGpu && test_device().sm != 90) {
    WARN("skipped: needs sm_90, this is " << test_device().name);
    return;
  }
  UPS_RANDOM(random);
  for (int round = 0; round < rounds(8, 100); round++) {
    take_schedule(round);
    AttentionSpec s;
    s.n = round == 5 ? 2 : 1;
    s.h = round == 0 ? 1 : random.integer(6, 11), s.w = round == 0 ? 1 : random.integer(11, 28);
    s.d = round < 3 ? 512 : 8 * random.integer(8, 40), s.dv = round < 2 ? 512 : 8 * random.integer(17, 64);
    s.dtype = round % 2 ? DType::bf16 : DType::f16;
    s.scale = 1 / std::sqrt(float(s.d)) * (round == 2 ? 8 : 1);
    s.descending = round == 3;
    s.extra = 8 * random.integer(0, 2);
    if (round > 4) s.row_begin = random.integer(0, s.h - 1), s.row_end = random.integer(s.row_begin + 1, s.h);
    CHECK(verdict(*variant("wgmma"), s, random, device_of(90, 227, 2)) == "");
  }
  take_schedule(0);
}

TEST_CASE("a warpgroup of attention on wgmma that is far ahead waits for the other's weights",
          "[simt][pixel_attention][hopper][small]") {
  if (kOnGpu && test_device().sm != 90) return;
  UPS_RANDOM(random);
  // Few channels of keys: values are there as soon as the first warpgroup has its weights. Both make outputs.
  AttentionSpec s;
  s.h = 11, s.w = 12, s.d = 64, s.dv = 512;
  with_one_far_ahead([&] { CHECK(verdict(*variant("wgmma"), s, random, device_of(90, 227, 2)) == ""); });
}

TEST_CASE("plain attention takes several pictures and any channels", "[simt][pixel_attention][small]") {
  UPS_RANDOM(random);
  for (int round = 0; round < 6; round++) {
    take_schedule(round);
    AttentionSpec s;
    s.n = random.integer(1, 2), s.h = random.integer(1, 12), s.w = random.integer(1, 14);
    s.d = random.integer(1, 30), s.dv = random.integer(1, 150), s.dtype = DType(round % 3);
    s.extra = random.integer(0, 3);
    if (s.h > 1) s.row_begin = random.integer(0, s.h - 1);
    CHECK(verdict(*variant("plain"), s, random, test_device()) == "");
  }
  take_schedule(0);
}

TEST_CASE("attention takes tensor cores where it can, and says why not", "[simt][pixel_attention]") {
  Tensor t = dense_f32(nullptr, 4, 4, 512);
  t.dtype = DType::bf16;
  Attention<Tensor> op{t, t, t, t, 1};
  CHECK(std::string(variant_name(op, device_of(80, 163, 108))) == "mma");
  CHECK(std::string(variant_name(op, device_of(86, 99, 84))) == "mma");
  if (!kOnGpu) CHECK(std::string(variant_name(op, device_of(90, 227, 132))) == "wgmma");
  Attention<Tensor> wide = op;
  wide.x.c = wide.k.c = 1024;
  CHECK(std::string(variant_name(wide, device_of(80, 163, 108))) == "plain");
  for (Tensor* x : {&op.x, &op.k, &op.v, &op.y}) x->dtype = DType::f32;
  CHECK(std::string(variant_name(op, device_of(80, 163, 108))) == "plain");
}
