// The CUDA backend: a network and whole passes on a device, and for those who hold their tiles on the host,
// one tile at a time.
#include "runtime/backend_cuda.h"

#include <algorithm>
#include <optional>

#include "kernels/device/picture.h"
#include "kernels/error.h"
#include "runtime/network_cuda.h"
#include "runtime/pass_cuda.h"

namespace ups {

namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(const cuda::DeviceInfo& device, Precision precision, Pool* pool)
      : network_(device, precision, pool) {}

  std::string describe() const override { return network_.device().name + ", " + network_.precision_name(); }
  PlanOptions plan_options() const override { return network_.plan_options(); }
  // Most of what the device has; the rest is for the driver, the display and whoever else is there.
  int64_t budget_bytes() const override { return network_.device().memory_bytes / 10 * 7; }
  size_t weight_bytes() const override { return network_.weight_bytes(); }
  // The picture and the blocks in which rows leave (bands are counted as the blender's).
  size_t scratch_bytes(const Plan& plan) const override {
    return size_t(plan.lr.pixels()) * plan.x.c * sizeof(float) + (size_t(16) << 20);
  }
  void load(const Graph& graph) override { network_.load(graph); }
  void bind(Plan& plan) override;
  void run(const Plan& plan, const Progress& progress) override;
  std::string explain(const Plan& plan) const override { return network_.explain(plan); }
  DevicePass* device_pass() override {
    if (!pass_) pass_.emplace(network_);
    return &*pass_;
  }
  void spill(bool spill) override { network_.spill(spill); }
  void limit_arena(int64_t bytes) override { network_.limit_arena(bytes); }
  void release() override {
    x_room_ = {}, y_room_ = {};
    network_.release();
  }

 private:
  CudaNetwork network_;
  std::optional<CudaPass> pass_;
  // Of the tile that bind() made: f32 on the device, and where the host fills and reads.
  Room x_room_, y_room_, flags_room_;
  cuda::PinnedMemory host_;
  Plan unbound_;
};

void CudaBackend::bind(Plan& plan) {
  network_.stream().use();
  const size_t x = size_t(plan.lr.pixels()) * plan.x.c, y = size_t(plan.hr.pixels()) * plan.y.c;
  try {
    network_.prepare(plan);
    x_room_.reserve(network_.stream(), x * sizeof(float));
    y_room_.reserve(network_.stream(), y * sizeof(float));
    flags_room_.reserve(network_.stream(), sizeof(cuda::TileFlags));
  } catch (const Error& e) {
    if (e.code == Code::memory) {  // what was taken already must not be in the way of a smaller tile
      x_room_ = {}, y_room_ = {};
      network_.release();
    }
    throw;
  }
  unbound_ = plan;
  const size_t bytes = (x + y) * sizeof(float) + sizeof(cuda::TileFlags);
  if (host_.bytes() < bytes) host_ = cuda::PinnedMemory(bytes);
  float* memory = static_cast<float*>(host_.data());
  plan.x = dense_f32(memory, plan.lr.h, plan.lr.w, plan.x.c);
  plan.y = dense_f32(memory + x, plan.hr.h, plan.hr.w, plan.y.c);
}

void CudaBackend::run(const Plan& plan, const Progress& progress) {
  cuda::Stream& stream = network_.stream();
  stream.use();
  if (progress) progress(0);
  const size_t x_bytes = size_t(plan.lr.pixels()) * plan.x.c * sizeof(float),
               y_bytes = size_t(plan.hr.pixels()) * plan.y.c * sizeof(float);
  Tensor x = plan.x, y = plan.y;
  x.data = x_room_.data(), y.data = y_room_.data();
  auto* flags = static_cast<cuda::TileFlags*>(flags_room_.data());
  auto* found = reinterpret_cast<cuda::TileFlags*>(static_cast<char*>(host_.data()) + x_bytes + y_bytes);
  stream.upload(x.data, plan.x.data, x_bytes);
  for (CudaNetwork::Bound* bound = &network_.prepare(unbound_); bound;) {
    cuda::run(Copy<Tensor>{x, bound->plan.x}, stream);
    network_.run(*bound);
    stream.fill(flags, 0, sizeof *flags);
    cuda::run(cuda::CheckTile{x, bound->plan.y, flags}, stream);
    cuda::run(Copy<Tensor>{bound->plan.y, y}, stream);
    stream.download(found, flags, sizeof *flags);
    stream.download(plan.y.data, y.data, y_bytes);
    stream.synchronize();
    bound = is_bad(*found) ? network_.safer(*bound) : nullptr;
  }
  if (progress) progress(1);
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const cuda::DeviceInfo& device, Precision precision, Pool* pool) {
  return std::make_unique<CudaBackend>(device, precision, pool);
}

}  // namespace ups
