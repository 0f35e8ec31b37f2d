// The bare convolution by cuDNN: every engine configuration that its heuristics propose is timed.
#include <algorithm>
#include <random>
#include <vector>

#include "bench/gpu/vendor.h"
#include "kernels/error.h"
#include "kernels/vendor/cudnn.h"

namespace ups::bench {
namespace {

class Cudnn final : public Vendor {
 public:
  Cudnn() : library_(cuda::Cudnn::get()) {}
  std::string version() const override { return library_.version(); }
  VendorTiming conv2d(const ConvShape& s, DType dtype, cuda::Stream& stream, double seconds) override;

 private:
  cuda::Cudnn& library_;
};

VendorTiming Cudnn::conv2d(const ConvShape& s, DType dtype, cuda::Stream& stream, double seconds) {
  const auto dense = [&](int h, int w, int c) {
    return Tensor{nullptr, dtype, 1, h, w, c, int64_t(h) * w * c, int64_t(w) * c, c};
  };
  cuda::VendorConv conv;
  conv.x = dense(s.h * s.up, s.w * s.up, s.cin), conv.y = dense(s.grid_h(), s.grid_w(), s.cout);
  conv.k = s.k, conv.stride = s.stride;

  // Buffers larger than the cache, of random numbers.
  const size_t x_bytes = size_t(conv.x.image) * size_t(dtype_bytes(dtype)),
               y_bytes = size_t(conv.y.image) * size_t(dtype_bytes(dtype));
  const int sets = std::clamp(int(size_t(stream.device().l2_bytes) * 3 / (x_bytes + y_bytes)) + 1, 2, 16);
  std::mt19937 engine(1);
  std::vector<uint32_t> pattern(1 << 18);  // about 0.5 .. 2 in magnitude in each format
  for (uint32_t& v : pattern)
    v = dtype == DType::f16    ? 0x38003800 | (engine() & 0x87ff87ff)
        : dtype == DType::bf16 ? 0x3f003f00 | (engine() & 0x80ff80ff)
                               : 0x3f000000 | (engine() & 0x80ffffff);
  std::vector<cuda::DeviceMemory> xs, ys;
  for (int i = 0; i < sets; i++) {
    xs.emplace_back(stream, x_bytes), ys.emplace_back(stream, y_bytes);
    for (size_t at = 0; at < x_bytes; at += pattern.size() * 4)
      stream.upload(static_cast<char*>(xs.back().data()) + at, pattern.data(),
                    std::min(pattern.size() * 4, x_bytes - at));
  }
  const size_t filter_bytes = size_t(s.cout) * s.cin * s.k * s.k * size_t(dtype_bytes(dtype));
  cuda::DeviceMemory filters(stream, filter_bytes);
  for (size_t at = 0; at < filter_bytes; at += pattern.size() * 4)
    stream.upload(static_cast<char*>(filters.data()) + at, pattern.data(),
                  std::min(pattern.size() * 4, filter_bytes - at));
  stream.synchronize();

  VendorTiming best;
  std::string why;
  const double until = now_s() + 20 * seconds;  // of trying engines
  const auto try_one = [&](std::unique_ptr<cuda::CudnnPlan> plan) {
    if (best.tried && now_s() > until) return false;
    if (plan->workspace_bytes() > size_t(4) << 30) return true;
    cuda::DeviceMemory workspace(stream, plan->workspace_bytes());
    for (int i = 0; i < sets; i++) {
      conv.x.data = xs[size_t(i)].data(), conv.y.data = ys[size_t(i)].data(), conv.filters = filters.data();
      plan->bind(conv, workspace.data());
    }
    const auto run = [&](int i) { plan->run(i % sets, stream); };
    // A short look first; the full time only for what may win.
    Timing t = time_launches(stream, sets, 0.01, run, false);
    if (best.tried == 0 || t.ms < best.timing.ms * 1.05) t = time_launches(stream, sets, seconds, run, false);
    best.tried++;
    if (best.timing.samples == 0 || t.ms < best.timing.ms) best.timing = t, best.engine = plan->engine();
    return true;
  };
  library_.for_each_plan(conv, try_one, &why);
  check(best.tried > 0, Code::device, why);
  return best;
}

}  // namespace

std::unique_ptr<Vendor> make_vendor(std::string* why) {
  try {
    return std::make_unique<Cudnn>();
  } catch (const Error& e) {
    *why = e.what();
    return nullptr;
  }
}

}  // namespace ups::bench
