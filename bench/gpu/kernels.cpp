// Convolutions of the released networks, every variant that accepts, in the surroundings that the network
// gives them (slices of a dense block's buffer, activation, addends), against cuDNN on the same convolution
// alone; not of those with a shortcut, which it has no single call for.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "bench/gpu/bench.h"
#include "bench/gpu/conv_shapes.h"
#include "bench/gpu/vendor.h"
#include "kernels/device/run.h"
#include "kernels/error.h"
#include "kernels/pack.h"

namespace ups::bench {
namespace {

using namespace cuda;

uint16_t half_bits(float v) {  // normal numbers below 65504 only
  uint32_t u;
  std::memcpy(&u, &v, 4);
  const uint32_t sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  if (magnitude < 0x38800000) return uint16_t(sign);
  return uint16_t(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

// A megabyte or so of normal numbers: zeros would run faster than pictures do.
std::vector<unsigned char> noise(DType dtype) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  std::vector<unsigned char> bytes(size_t(1) << 20);
  for (size_t i = 0; i < bytes.size(); i += size_t(dtype_bytes(dtype))) {
    const float v = normal(engine);
    uint32_t u;
    std::memcpy(&u, &v, 4);
    const uint16_t half = dtype == DType::f16 ? half_bits(v) : uint16_t(u >> 16);
    if (dtype == DType::f32)
      std::memcpy(&bytes[i], &v, 4);
    else
      std::memcpy(&bytes[i], &half, 2);
  }
  return bytes;
}

class Memory {
 public:
  Memory(Stream& stream, DType dtype) : stream_(stream), dtype_(dtype), noise_(noise(dtype)) {}
  Tensor image(int h, int w, int c) {
    // Pixels begin where those of a plan do (runtime/plan.h pixel_multiple).
    const int64_t px = dtype_ != DType::f32 && c > 16 ? (c + 7) / 8 * 8 : c;
    Tensor t{nullptr, dtype_, 1, h, w, c, h * w * px, w * px, px};
    const size_t bytes = size_t(t.image) * dtype_bytes(dtype_);
    blocks_.emplace_back(stream_, bytes);
    t.data = blocks_.back().data();
    for (size_t at = 0; at < bytes; at += noise_.size())
      stream_.upload(static_cast<char*>(t.data) + at, noise_.data(), std::min(noise_.size(), bytes - at));
    return t;
  }
  void* raw(const void* host, size_t bytes) {
    blocks_.emplace_back(stream_, bytes);
    stream_.upload(blocks_.back().data(), host, bytes);
    stream_.synchronize();
    return blocks_.back().data();
  }
  size_t bytes() const {
    size_t sum = 0;
    for (const auto& b : blocks_) sum += b.bytes();
    return sum;
  }

 private:
  Stream& stream_;
  DType dtype_;
  std::vector<unsigned char> noise_;
  std::vector<DeviceMemory> blocks_;
};

// One operator on several sets of buffers, together larger than the L2 cache.
struct Case {
  std::unique_ptr<Memory> memory;
  std::vector<Conv2d<Tensor>> sets;
};

Case make_case(const ConvShape& s, DType dtype, Stream& stream) {
  Case c{std::make_unique<Memory>(stream, dtype), {}};
  Memory& memory = *c.memory;
  std::mt19937 engine(5);
  std::normal_distribution<float> normal(0, 1 / std::sqrt(float(s.cin * s.k * s.k)));
  std::vector<float> weights(size_t(s.cout) * s.cin * s.k * s.k), bias(size_t(s.cout)), slopes(bias.size());
  for (float& v : weights) v = normal(engine);
  for (float& v : bias) v = normal(engine);
  for (float& v : slopes) v = 0.2f + normal(engine);
  std::vector<char> packed(mma_layout(s.cout, s.cin, s.k).elements() * size_t(dtype_bytes(dtype)));
  pack_mma(weights.data(), WeightOrder::oihw, s.cout, s.cin, s.k, dtype, packed.data());
  Conv2d<Tensor> op;
  op.w = {0, s.cout, s.k, s.cin, dtype, memory.raw(packed.data(), packed.size())};
  op.w.bias = static_cast<const float*>(memory.raw(bias.data(), bias.size() * sizeof(float)));
  op.up = s.up, op.shuffle = s.shuffle, op.stride = s.stride, op.pad_end = s.stride > 1;
  if (s.dense_end())
    op.scale = 0.2f;
  else if (s.cout > 3 && s.shuffle == 1)
    op.act = Act::lrelu, op.slope = 0.2f;
  if (s.shortcut) {
    weights.assign(size_t(s.cout) * s.shortcut, 0);
    for (float& v : weights) v = normal(engine);
    packed.resize(mma_layout(s.cout, s.shortcut, 1).elements() * size_t(dtype_bytes(dtype)));
    pack_mma(weights.data(), WeightOrder::oihw, s.cout, s.shortcut, 1, dtype, packed.data());
    op.shortcut.w = {1, s.cout, 1, s.shortcut, dtype, memory.raw(packed.data(), packed.size())};
  }
  const size_t first = memory.bytes();
  const size_t enough = size_t(stream.device().l2_bytes) * 3;
  do {
    if (s.dense()) {
      const Tensor buffer = memory.image(s.h, s.w, 192);
      op.x = buffer.channels(0, s.cin), op.y = buffer.channels(s.cin, s.cout);
    } else if (s.dense_end()) {
      op.x = memory.image(s.h, s.w, 192);
      op.y = memory.image(s.h, s.w, 192).channels(0, 64);
      op.add = {op.x.channels(0, 64), 1.0f, 1};
    } else {
      op.x = memory.image(s.h, s.w, s.cin);
      const int r = s.shuffle;
      op.y = memory.image(s.grid_h() * r, s.grid_w() * r, s.cout / (r * r));
      if (r > 1) op.add = {memory.image(s.h, s.w, s.cout / (r * r)), 1.0f, r * r};
    }
    if (s.shortcut) op.shortcut.t = memory.image(s.grid_h(), s.grid_w(), s.shortcut);
    c.sets.push_back(op);
  } while (c.sets.size() < 2 || (memory.bytes() - first < enough && c.sets.size() < 16));
  stream.synchronize();
  return c;
}

void report(const ConvShape& s, const char* dtype, const std::string& variant, const Timing& t, double peak,
            Record& record, const Json& more = {}) {
  const double tflops = s.flop() / t.ms * 1e-9;
  Json line = {{"kind", "kernel"},
               {"op", "conv2d"},
               {"shape", s.name()},
               {"dtype", dtype},
               {"variant", variant},
               {"ms", t.ms},
               {"ms_quartiles", {t.low, t.high}},
               {"samples", t.samples},
               {"batch", t.batch},
               {"gflop", s.flop() * 1e-9},
               {"tflops", tflops}};
  if (peak > 0) line["percent_of_peak"] = 100 * tflops / peak;
  if (more.is_object()) line.update(more);
  record.add(line);
  std::printf("  %-14s %-5s %-12s %9.4f ms %8.1f TFLOP/s", s.name().c_str(), dtype, variant.c_str(), t.ms,
              tflops);
  if (peak > 0) std::printf(" %5.1f %% of peak", 100 * tflops / peak);
  if (line.contains("engines")) std::printf("   best of %d engines", int(line["engines"]));
  std::printf("\n");
  std::fflush(stdout);
}

bool is_naive(const std::string& variant) { return variant == "naive"; }

void bench_shape(const ConvShape& s, DType dtype, double peak, const Options& o, Stream& stream,
                 Vendor* vendor, Record& record) {
  {
    const Case c = make_case(s, dtype, stream);
    bool any = false;
    for (const Conv2dVariant& v : conv2d_variants()) {
      if (!record.time_left()) return;
      if (!o.variant.empty() && o.variant != v.name) continue;
      if (const char* reason = v.declines(c.sets[0], stream.device())) {
        if (!o.variant.empty()) std::printf("  %-14s %s declines: %s\n", s.name().c_str(), v.name, reason);
        continue;
      }
      if (any && is_naive(v.name) && o.variant.empty()) continue;  // it would only cost time
      any = true;
      try {
        const Timing t = time_launches(stream, int(c.sets.size()), o.seconds, [&](int i) {
          v.launch(c.sets[size_t(i) % c.sets.size()], stream, Rows{0, s.grid_h()});
        });
        report(s, dtype_name(dtype), v.name, t, peak, record, {{"sets", c.sets.size()}});
      } catch (const Error& e) {
        std::printf("  %-14s %-5s %s failed: %s\n", s.name().c_str(), dtype_name(dtype), v.name, e.what());
        record.add({{"kind", "failure"}, {"shape", s.name()}, {"variant", v.name}, {"why", e.what()}});
        throw;  // a device that failed once fails on
      }
    }
  }
  if (!vendor || s.shortcut || !record.time_left() || (!o.variant.empty() && o.variant != "cudnn")) return;
  try {
    const VendorTiming t = vendor->conv2d(s, dtype, stream, o.quick ? o.seconds / 2 : o.seconds);
    report(s, dtype_name(dtype), "cudnn", t.timing, peak, record,
           {{"engines", t.tried}, {"engine", t.engine}});
  } catch (const Error& e) {
    std::printf("  %-14s %-5s cudnn: %s\n", s.name().c_str(), dtype_name(dtype), e.what());
    record.add({{"kind", "failure"}, {"shape", s.name()}, {"variant", "cudnn"}, {"why", e.what()}});
  }
}

}  // namespace

void bench_kernels(const Options& o, const DeviceInfo& device, Record& record) {
  Stream stream(device);
  std::string why = "--no-vendor";
  const std::unique_ptr<Vendor> vendor = o.vendor ? make_vendor(&why) : nullptr;
  if (!vendor) std::printf("cuDNN is not measured: %s\n", why.c_str());
  record.add({{"kind", "vendor"}, {"version", vendor ? vendor->version() : ""}, {"why", vendor ? "" : why}});

  double peak = 0;
  try {
    check(o.vendor, Code::device, "--no-vendor");
    peak = matmul_peak_tflops(DType::f16, stream);
    record.add({{"kind", "peak"}, {"dtype", "f16"}, {"tflops", peak}, {"by", "cuBLAS 8192^3, f32 sums"}});
    std::printf("matmul peak: %.0f TFLOP/s (cuBLAS, f16, 8192^3)\n", peak);
  } catch (const Error& e) {
    std::printf("the matmul peak is not measured: %s\n", e.what());
  }

  std::vector<ConvShape> shapes;
  for (const std::string& text : o.shapes) shapes.push_back(parse_shape(text));
  if (shapes.empty()) shapes = released_shapes();
  const DType wanted = o.dtype == "bf16" ? DType::bf16 : o.dtype == "f32" ? DType::f32 : DType::f16;
  std::printf("convolutions (median; buffers larger than the L2 cache)\n");
  for (const ConvShape& s : shapes) bench_shape(s, wanted, peak, o, stream, vendor.get(), record);
  if (o.shapes.empty() && o.dtype.empty() && !o.quick)
    for (DType d : {DType::bf16, DType::f32})
      bench_shape(parse_shape("64x64@512"), d, d == DType::bf16 ? peak : 0, o, stream, nullptr, record);
}

}  // namespace ups::bench
