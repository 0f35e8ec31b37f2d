// The halves of transformer layers and window attention in the shapes of SwinIR-M and HAT at 512 x 512, every
// variant that accepts; HAT's attention halves beside the three kernels that they stand for.
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>

#include "bench/gpu/bench.h"
#include "kernels/device/run.h"
#include "kernels/error.h"
#include "kernels/pack.h"

namespace ups::bench {
namespace {

using namespace cuda;

constexpr int kWidth = 180, kHeads = 6, kPixel = 184;  // as plans lay pixels out

// Device memory filled with normal numbers.
class Memory {
 public:
  Memory(Stream& stream, DType dtype) : stream_(stream), dtype_(dtype), noise_(size_t(1) << 18) {
    const std::vector<float> values = normals(noise_.size(), 1);
    pack_mma(values.data(), WeightOrder::oihw, 16, int(values.size() / 16), 1, dtype, noise_.data());
  }
  Tensor image(int side, int c) {
    const int px = (c + 7) / 8 * 8;
    Tensor t{nullptr, dtype_, 1, side, side, c, int64_t(side) * side * px, int64_t(side) * px, px};
    const size_t bytes = size_t(t.image) * 2;
    blocks_.emplace_back(stream_, bytes);
    t.data = blocks_.back().data();
    for (size_t at = 0; at < bytes; at += noise_.size() * 2)
      stream_.upload(static_cast<char*>(t.data) + at, noise_.data(), std::min(noise_.size() * 2, bytes - at));
    stream_.synchronize();
    return t;
  }
  const float* floats(size_t count, float spread) {
    const std::vector<float> values = normals(count, spread);
    return static_cast<const float*>(raw(values.data(), count * sizeof(float)));
  }
  Weight linear(int cout, int cin) {
    const std::vector<float> matrix = normals(size_t(cout) * cin, 1 / std::sqrt(float(cin)));
    std::vector<char> packed(mma_layout(cout, cin, 1).elements() * 2);
    pack_mma(matrix.data(), WeightOrder::oihw, cout, cin, 1, dtype_, packed.data());
    Weight w{0, cout, 1, cin, dtype_, raw(packed.data(), packed.size())};
    w.bias = floats(size_t(cout), 0.02f);
    return w;
  }
  Weight norm() {
    Weight w{0, kWidth, 1, 1, DType::f32, floats(kWidth, 1)};
    w.bias = floats(kWidth, 0.02f);
    return w;
  }
  Weight bias(int places) {
    return {0, kHeads, 1, places, DType::f32, floats(size_t(places) * kHeads, 0.5f)};
  }

 private:
  std::vector<float> normals(size_t count, float spread) {
    std::normal_distribution<float> normal(0, spread);
    std::vector<float> v(count);
    for (float& x : v) x = normal(engine_);
    return v;
  }
  void* raw(const void* host, size_t bytes) {
    blocks_.emplace_back(stream_, bytes);
    stream_.upload(blocks_.back().data(), host, bytes);
    stream_.synchronize();
    return blocks_.back().data();
  }
  Stream& stream_;
  DType dtype_;
  std::mt19937 engine_{3};
  std::vector<uint16_t> noise_;
  std::vector<DeviceMemory> blocks_;
};

struct Job {
  const Options& o;
  Stream& stream;
  Record& record;
};

void report(const Job& job, const char* op, const char* shape, DType dtype, const char* variant,
            const Timing& t, double flop) {
  const double tflops = flop / t.ms * 1e-9;
  job.record.add({{"kind", "kernel"},
                  {"op", op},
                  {"shape", shape},
                  {"dtype", dtype_name(dtype)},
                  {"variant", variant},
                  {"ms", t.ms},
                  {"ms_quartiles", {t.low, t.high}},
                  {"samples", t.samples},
                  {"batch", t.batch},
                  {"gflop", flop * 1e-9},
                  {"tflops", tflops}});
  std::printf("  %-22s %-5s %-12s %9.4f ms %8.1f TFLOP/s\n", shape, dtype_name(dtype), variant, t.ms, tflops);
  std::fflush(stdout);
}

// Times each variant of one operator on sets of buffers that are together larger than the L2 cache.
template <class Operator, class Variants>
void time_variants(const Job& job, const char* shape, const std::vector<Operator>& sets,
                   const Variants& variants, double flop) {
  const DType dtype = sets[0].x.dtype;
  for (const auto& v : variants) {
    if (!job.record.time_left()) return;
    if (!job.o.variant.empty() && job.o.variant != v.name) continue;
    if (job.o.variant.empty() && std::string(v.name) == "naive") continue;  // hundreds of times as long
    if (const char* reason = v.declines(sets[0], job.stream.device())) {
      std::printf("  %-22s %s declines: %s\n", shape, v.name, reason);
      continue;
    }
    const Timing t = time_launches(job.stream, int(sets.size()), job.o.seconds, [&](int i) {
      const Operator& op = sets[size_t(i) % sets.size()];
      v.launch(op, job.stream, Rows{0, op.y.h});
    });
    report(job, Operator::kName, shape, dtype, v.name, t, flop);
  }
}

// The kernels of the parts one after the other, on memory of their own, as a plan would run them.
void time_parts(const Job& job, Memory& memory, const char* shape,
                const std::vector<AttentionSublayer<Tensor>>& sets, double flop) {
  if (!job.record.time_left() || (!job.o.variant.empty() && job.o.variant != "parts")) return;
  std::vector<std::vector<std::function<void()>>> parts(sets.size());
  for (size_t i = 0; i < sets.size(); i++)
    sets[i].parts(
        [&](int c) { return memory.image(sets[i].x.h, c); },
        [&](const auto& part) { parts[i].push_back([&stream = job.stream, part] { run(part, stream); }); });
  const Timing t = time_launches(job.stream, int(sets.size()), job.o.seconds, [&](int i) {
    for (const auto& part : parts[size_t(i) % sets.size()]) part();
  });
  report(job, AttentionSublayer<Tensor>::kName, shape, sets[0].x.dtype, "parts", t, flop);
}

template <class Operator, class Make>
std::vector<Operator> sets_of(Stream& stream, Make&& make) {
  const int64_t one = int64_t(2) * 512 * 512 * kPixel * 2;
  std::vector<Operator> sets;
  for (int i = 0; i < 2 || (i < 16 && i * one < 3 * stream.device().l2_bytes); i++) sets.push_back(make());
  return sets;
}

void bench_dtype(const Job& job, DType dtype) {
  constexpr int kSide = 512;
  constexpr double kPixels = double(kSide) * kSide;
  struct Shape {
    const char* name;
    int window, keys, shift;
    bool norm;  // HAT's is read by others, too
  };
  for (const Shape& shape :
       {Shape{"attention 180 w8@512", 8, 8, 4, true}, Shape{"attention 180 w16@512", 16, 16, 8, false},
        Shape{"attention 180 24/16@512", 16, 24, 0, false}}) {
    Memory memory(job.stream, dtype);
    AttentionSublayer<Tensor> op;
    op.norm = memory.norm(), op.norm_at = shape.norm ? NormAt::before : NormAt::none;
    op.qkv = memory.linear(3 * kWidth, kWidth), op.proj = memory.linear(kWidth, kWidth);
    op.window = {shape.window, shape.window}, op.keys = {shape.keys, shape.keys};
    op.shift = {shape.shift, shape.shift};
    const int side = shape.window + shape.keys - 1;
    op.bias = memory.bias(side * side), op.heads = kHeads, op.d = kWidth / kHeads;
    op.scale = 1 / std::sqrt(float(op.d));
    const auto sets = sets_of<AttentionSublayer<Tensor>>(job.stream, [&] {
      op.x = op.residual = memory.image(kSide, kWidth), op.y = memory.image(kSide, kWidth);
      if (!shape.norm) op.residual = memory.image(kSide, kWidth);
      return op;
    });
    time_variants(job, shape.name, sets, attention_sublayer_variants(), op.flop() * kPixels);
    if (!shape.norm) time_parts(job, memory, shape.name, sets, op.flop() * kPixels);
  }
  {
    Memory memory(job.stream, dtype);
    MlpSublayer<Tensor> op;
    op.norm = memory.norm();
    op.fc1 = memory.linear(2 * kWidth, kWidth), op.fc2 = memory.linear(kWidth, 2 * kWidth);
    const auto sets = sets_of<MlpSublayer<Tensor>>(job.stream, [&] {
      op.x = memory.image(kSide, kWidth), op.y = memory.image(kSide, kWidth);
      return op;
    });
    time_variants(job, "mlp 180 360@512", sets, mlp_sublayer_variants(), op.flop() * kPixels);
  }
  for (int keys : {16, 24}) {
    Memory memory(job.stream, dtype);
    WindowAttention<Tensor> op;
    op.window = {16, 16}, op.keys = {keys, keys};
    if (keys == 16) op.shift = {8, 8};
    op.bias = memory.bias((15 + keys) * (15 + keys));
    op.heads = kHeads, op.d = kWidth / kHeads, op.scale = 1 / std::sqrt(float(op.d));
    const auto sets = sets_of<WindowAttention<Tensor>>(job.stream, [&] {
      op.x = memory.image(kSide, 3 * kWidth), op.y = memory.image(kSide, kWidth);
      return op;
    });
    time_variants(job, keys == 16 ? "window 16 keys 16@512" : "window 16 keys 24@512", sets,
                  window_attention_variants(), op.flop() * kPixels);
  }
}

}  // namespace

void bench_sublayers(const Options& o, const DeviceInfo& device, Record& record) {
  Stream stream(device);
  std::printf("transformer layers (median; buffers larger than the L2 cache)\n");
  for (DType dtype : {DType::f16, DType::bf16}) {
    if (!o.dtype.empty() && o.dtype != dtype_name(dtype)) continue;
    if (o.quick && dtype == DType::bf16) continue;
    try {
      bench_dtype({o, stream, record}, dtype);
    } catch (const Error& e) {
      std::printf("  failed: %s\n", e.what());
      record.add({{"kind", "failure"}, {"shape", "transformer layers"}, {"why", e.what()}});
      throw;  // a device that failed once fails on
    }
  }
}

}  // namespace ups::bench
