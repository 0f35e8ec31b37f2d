// Conv2d by cuDNN, the fastest engine for each shape; taken only where UPSCALE_VARIANT asks for it. Not yet
// run.
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/conv2d_vendor.h"
#include "kernels/error.h"
#include "kernels/vendor/cudnn.h"

namespace ups::cuda {
namespace {

constexpr size_t kMostWorkspace = size_t(1) << 30;
constexpr int kMostTried = 12;  // per shape, best guesses first: preparing one may take a tenth of a second

struct Chosen {
  std::unique_ptr<CudnnPlan> plan;
  bool dense = false;  // no engine takes slices of this shape: x is copied first
};

// What was found out about a device.
struct State {
  explicit State(const DeviceInfo& device) : buffers(device) {}
  VendorBuffers buffers;
  using Key = std::tuple<int, int, int, int, int, DType, int64_t, int64_t>;
  std::map<Key, Chosen> chosen;
};

State& state(const DeviceInfo& device) {
  static auto* const all = new std::map<int, std::unique_ptr<State>>;  // outlives recordings
  auto& one = (*all)[device.index];
  if (!one) one = std::make_unique<State>(device);
  return *one;
}
std::mutex& mutex() {
  static std::mutex one;
  return one;
}

// Null if no engine runs. Timed on a stream of its own, on whatever the operands hold.
std::unique_ptr<CudnnPlan> fastest(const VendorConv& conv, VendorBuffers& buffers, std::string* why) {
  std::unique_ptr<CudnnPlan> best;
  float best_ms = 0;
  int tried = 0;
  Stream& stream = buffers.stream();
  Event begin(stream.device()), end(stream.device());
  const auto try_one = [&](std::unique_ptr<CudnnPlan> plan) {
    if (plan->workspace_bytes() > kMostWorkspace) return true;
    const int bound = plan->bind(conv, buffers.get(VendorBuffers::workspace, plan->workspace_bytes()));
    plan->run(bound, stream);
    begin.record(stream);
    for (int i = 0; i < 3; i++) plan->run(bound, stream);
    end.record(stream);
    const float ms = end.elapsed_ms(begin);
    if (!best || ms < best_ms) best = std::move(plan), best_ms = ms;
    return ++tried < kMostTried;
  };
  Cudnn::get().for_each_plan(conv, try_one, why);
  return best;
}

VendorConv with_dense_x(VendorConv conv, VendorBuffers& buffers) {
  Tensor& x = conv.x;
  x.px = x.c, x.row = int64_t(x.w) * x.c;
  x.data = buffers.get(VendorBuffers::dense, size_t(x.h) * size_t(x.row) * 2);
  return conv;
}

void convolve(const VendorConv& conv, Stream& stream) {
  State& s = state(stream.device());
  const Tensor& x = conv.x;
  const bool aligned = x.px % 8 == 0 && x.row % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  Chosen& chosen = s.chosen[{x.h, x.w, x.c, conv.y.c, conv.k, x.dtype, aligned ? x.px : 0, x.row}];
  std::string why;
  if (!chosen.plan && aligned) chosen.plan = fastest(conv, s.buffers, &why);
  if (!chosen.plan) {
    chosen.dense = true;
    chosen.plan = fastest(with_dense_x(conv, s.buffers), s.buffers, &why);
    check(chosen.plan != nullptr, Code::device, "conv2d: cuDNN has no engine for ", x.c, " -> ", conv.y.c,
          ", ", x.w, "x", x.h, ": ", why);
  }
  VendorConv operands = conv;
  if (chosen.dense) {
    operands = with_dense_x(conv, s.buffers);
    Copy<Tensor> copy;
    copy.x = x, copy.y = operands.x;
    run(copy, stream);
  }
  void* const workspace = s.buffers.get(VendorBuffers::workspace, chosen.plan->workspace_bytes());
  chosen.plan->run(chosen.plan->bind(operands, workspace), stream);
}

void launch_cudnn(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const std::lock_guard lock(mutex());
  run_by_vendor(op, stream, rows, state(stream.device()).buffers, convolve);
}

const char* cudnn_declines(const Conv2d<Tensor>& op, const DeviceInfo&) {
  static const std::string missing = [] {
    try {
      Cudnn::get();
      return std::string();
    } catch (const Error& e) {
      return "needs cuDNN 9 (UPS_VENDOR_PATH names its folder): " + std::string(e.what());
    }
  }();
  return missing.empty() ? vendor_conv_declines(op) : missing.c_str();
}

}  // namespace

const Conv2dVariant kConv2dCudnn = {"cudnn", cudnn_declines, launch_cudnn};

}  // namespace ups::cuda
