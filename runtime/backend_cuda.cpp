// The CUDA backend: weights packed once on the device, a plan recorded once and replayed per tile, and a
// guard that recomputes a tile in fp32 when half precision overflowed.
#include "runtime/backend_cuda.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <sstream>
#include <vector>

#include "kernels/device/run.h"
#include "kernels/error.h"
#include "kernels/pack.h"

namespace ups {

namespace {

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

PlanOptions options_for(DType dtype) { return {.dtype = dtype, .strip_bytes = size_t(256) << 20}; }

// The packed weights of a graph in one dtype.
struct DeviceWeights {
  std::vector<Weight> list;
  cuda::DeviceMemory memory;
};

// Replaces the weights an operator names by those on the device.
template <class Operator>
void attach(Operator& op, const DeviceWeights& weights) {
  if constexpr (requires { op.weights([](Weight&) {}); })
    op.weights([&](Weight& w) {
      if (w.id >= 0) w = weights.list[w.id];
    });
}

// One plan on the device: its arena, its float input and output, the recorded calls.
struct DevicePlan {
  Plan plan;  // bound to the arena
  cuda::DeviceMemory arena, staging;
  Tensor x, y;  // f32, dense, in staging
  cuda::Recording recording;
};

class CudaBackend final : public Backend {
 public:
  CudaBackend(const cuda::DeviceInfo& device, Precision precision)
      : dtype_(precision == Precision::fp32   ? DType::f32
               : precision == Precision::bf16 ? DType::bf16
                                              : DType::f16),
        guard_(precision == Precision::automatic),
        stream_(device) {}

  std::string describe() const override {
    return stream_.device().name + ", " +
           (dtype_ == DType::f32   ? "fp32"
            : dtype_ == DType::f16 ? "fp16"
                                   : "bf16");
  }
  PlanOptions plan_options() const override { return options_for(dtype_); }
  // Most of what the device has; the rest is for the driver, the display and whoever else is there.
  int64_t budget_bytes() const override { return stream_.device().memory_bytes / 10 * 7; }
  size_t weight_bytes() const override {
    return weights_.empty() ? 0 : weights_.begin()->second.memory.bytes();
  }
  size_t scratch_bytes(const Plan& plan) const override {
    return size_t(plan.lr.pixels() * plan.x.c + plan.hr.pixels() * plan.y.c) * sizeof(float);
  }

  void load(const Graph& graph) override {
    graph_ = &graph;
    file_ = graph.file();  // mapped, not copied: the guard may want it again in fp32
    pack(dtype_);
  }
  void bind(Plan& plan) override {
    exact_.reset();
    fast_ = make_device_plan(plan);
    const size_t x = size_t(plan.lr.pixels()) * plan.x.c, y = size_t(plan.hr.pixels()) * plan.y.c;
    if (host_.bytes() < (x + y) * sizeof(float)) host_ = cuda::PinnedMemory((x + y) * sizeof(float));
    float* memory = static_cast<float*>(host_.data());
    plan.x = dense_f32(memory, plan.lr.h, plan.lr.w, plan.x.c);
    plan.y = dense_f32(memory + x, plan.hr.h, plan.hr.w, plan.y.c);
  }
  void run(const Plan& plan, const Progress& progress) override {
    if (progress) progress(0);
    execute(*fast_, dtype_, plan);
    if (guard_ && dtype_ != DType::f32 && suspicious(plan)) {
      if (!exact_) exact_ = make_device_plan(make_plan(*graph_, plan.lr, options_for(DType::f32)));
      execute(*exact_, DType::f32, plan);
    }
    if (progress) progress(1);
  }
  std::string explain(const Plan& plan) const override;

 private:
  const DeviceWeights& pack(DType dtype);
  std::unique_ptr<DevicePlan> make_device_plan(Plan plan);
  void execute(DevicePlan& d, DType dtype, const Plan& host);
  static bool suspicious(const Plan& host);

  DType dtype_;
  bool guard_;
  cuda::Stream stream_;
  const Graph* graph_ = nullptr;
  std::shared_ptr<const StateDict> file_;
  std::map<DType, DeviceWeights> weights_;
  cuda::PinnedMemory host_;
  std::unique_ptr<DevicePlan> fast_, exact_;
};

const DeviceWeights& CudaBackend::pack(DType dtype) {
  if (const auto it = weights_.find(dtype); it != weights_.end()) return it->second;
  const auto& infos = graph_->weight_infos();
  size_t total = 0;
  auto main_bytes = [dtype](const Graph::WeightInfo& i) {
    return aligned(i.flat ? size_t(i.cout) * i.cin * sizeof(float)
                          : mma_layout(i.cout, i.cin, i.k).elements() * dtype_bytes(dtype));
  };
  for (const auto& i : infos) total += main_bytes(i) + 2 * aligned(size_t(i.cout) * sizeof(float));
  DeviceWeights w;
  w.memory = cuda::DeviceMemory(stream_, std::max<size_t>(total, 1));
  std::vector<char> host(total);
  char* const device = static_cast<char*>(w.memory.data());
  size_t at = 0;
  for (size_t id = 0; id < infos.size(); id++) {
    const auto& i = infos[id];
    Weight out;
    out.id = int(id), out.cout = i.cout, out.k = i.k, out.cin = i.cin;
    out.dtype = i.flat ? DType::f32 : dtype;
    out.w = device + at;
    const std::vector<float> main = file_->floats(i.weight_key);
    if (i.flat)
      std::memcpy(host.data() + at, main.data(), main.size() * sizeof(float));
    else
      pack_mma(main.data(), WeightOrder::oihw, i.cout, i.cin, i.k, dtype, host.data() + at);
    at += main_bytes(i);
    auto vector = [&](const std::string& key) -> const float* {
      if (key.empty()) return nullptr;
      const std::vector<float> values = file_->floats(key);
      float* to = reinterpret_cast<float*>(host.data() + at);
      for (int c = 0; c < i.cout; c++) to[c] = values[values.size() == 1 ? 0 : c];
      const float* there = reinterpret_cast<const float*>(device + at);
      at += aligned(size_t(i.cout) * sizeof(float));
      return there;
    };
    out.bias = vector(i.bias_key);
    out.slope = vector(i.slope_key);
    w.list.push_back(out);
  }
  stream_.upload(w.memory.data(), host.data(), at);
  stream_.synchronize();
  return weights_.emplace(dtype, std::move(w)).first->second;
}

std::unique_ptr<DevicePlan> CudaBackend::make_device_plan(Plan plan) {
  auto d = std::make_unique<DevicePlan>();
  d->plan = std::move(plan);
  d->arena = cuda::DeviceMemory(stream_, std::max<size_t>(d->plan.arena_bytes, 1));
  d->plan.bind(d->arena.data());
  const Plan& p = d->plan;
  const size_t x = size_t(p.lr.pixels()) * p.x.c, y = size_t(p.hr.pixels()) * p.y.c;
  d->staging = cuda::DeviceMemory(stream_, (x + y) * sizeof(float));
  float* memory = static_cast<float*>(d->staging.data());
  d->x = dense_f32(memory, p.lr.h, p.lr.w, p.x.c);
  d->y = dense_f32(memory + x, p.hr.h, p.hr.w, p.y.c);
  return d;
}

void CudaBackend::execute(DevicePlan& d, DType dtype, const Plan& host) {
  const DeviceWeights& weights = pack(dtype);
  stream_.upload(d.x.data, host.x.data, size_t(host.lr.pixels()) * host.x.c * sizeof(float));
  if (!d.recording.ready()) {
    d.recording.begin(stream_);
    cuda::run(Copy<Tensor>{d.x, d.plan.x}, stream_);
    for (const PlanStep& step : d.plan.steps)
      std::visit(
          [&](auto op) {
            attach(op, weights);
            cuda::run(op, stream_, cuda::Rows{step.row_begin, step.row_end});
          },
          step.op);
    cuda::run(Copy<Tensor>{d.plan.y, d.y}, stream_);
    d.recording.end(stream_);
  }
  if (d.recording.ready()) d.recording.replay(stream_);  // the emulator has run it already
  stream_.download(host.y.data, d.y.data, size_t(host.hr.pixels()) * host.y.c * sizeof(float));
  stream_.synchronize();
}

// NaN, infinity, or black all over although the input is not: what overflow in half precision looks like.
bool CudaBackend::suspicious(const Plan& host) {
  auto all_zero = [](const Tensor& t) {
    const float* v = static_cast<const float*>(t.data);
    return std::all_of(v, v + int64_t(t.h) * t.row, [](float x) { return x == 0; });
  };
  const float* y = static_cast<const float*>(host.y.data);
  const int64_t n = int64_t(host.y.h) * host.y.row;
  if (!std::all_of(y, y + n, [](float v) { return std::isfinite(v); })) return true;
  return all_zero(host.y) && !all_zero(host.x);
}

std::string CudaBackend::explain(const Plan& plan) const {
  std::ostringstream text;
  for (const PlanStep& step : plan.steps)
    std::visit(
        [&](auto op) {
          text << op.kName << " " << op.x.c << "->" << op.y.c << " ";
          if constexpr (std::is_same_v<decltype(op), Conv2d<Tensor>>) {
            attach(op, weights_.at(dtype_));
            text << "k" << op.w.k << " up" << op.up << " " << cuda::variant_name(op, stream_.device()) << " ";
          }
          text << op.x.w << "x" << op.x.h;
          if (step.row_end != INT_MAX) text << " rows " << step.row_begin << ".." << step.row_end;
          text << "\n";
        },
        step.op);
  return text.str();
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const cuda::DeviceInfo& device, Precision precision) {
  return std::make_unique<CudaBackend>(device, precision);
}

}  // namespace ups
