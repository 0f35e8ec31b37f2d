// A network on a CUDA device: weights in one or more precisions, arenas, plans recorded once and replayed.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "runtime/device.h"
#include "runtime/plan.h"
#include "runtime/weights_cuda.h"

namespace ups {

class CudaNetwork {
 public:
  CudaNetwork(const cuda::DeviceInfo& device, Precision precision, Pool* pool);

  // Made at first use, which waits for the device's context: load() packs weights before that.
  cuda::Stream& stream() { return lane().stream; }
  Staging& staging() { return lane().staging; }
  const cuda::DeviceInfo& device() const { return device_; }

  // The precision that tiles are computed in first.
  const char* precision_name() const;
  PlanOptions plan_options() const { return options(dtype_); }
  size_t weight_bytes() const;

  void load(const Graph& graph);

  // A plan in its arena, and its calls. Valid until a larger one is prepared.
  struct Bound {
    Plan plan;
    DType dtype;
    const void* arena = nullptr;
    cuda::Recording recording;
  };
  // For a plan made with plan_options(). Throws Error{Code::memory}.
  Bound& prepare(const Plan& unbound) { return bind(unbound, dtype_); }
  // The same extent in the next safer precision; null if there is none. f32 is then multiplied as tf32: its
  // range is what was wanting. Under a limit other precisions give their arenas up, strips become smaller,
  // and what still exceeds it lives on the host.
  Bound* safer(const Bound& than);
  // Of arenas (runtime/backend.h).
  void spill(bool spill) { spill_ = spill; }
  void limit_arena(int64_t bytes) { limit_ = bytes; }
  // Gives arenas and recordings back; they are made again when needed.
  void release();
  // Enqueues: plan.y from plan.x.
  void run(Bound& bound);

  std::string explain(const Plan& plan) const;

 private:
  struct Lane {
    explicit Lane(const cuda::DeviceInfo& device) : stream(device), staging(device) {}
    cuda::Stream stream;
    Staging staging;
  };
  Lane& lane();
  PlanOptions options(DType dtype) const;
  // On the device, or on the host within its reach.
  struct Arena {
    cuda::DeviceMemory device;
    cuda::PinnedMemory host;
    void* data() const { return host.data() ? host.data() : device.data(); }
    size_t bytes() const { return host.data() ? host.bytes() : device.bytes(); }
  };
  const DeviceWeights& weights(DType dtype);
  Bound& bind(const Plan& unbound, DType dtype);
  void record(Bound& bound);

  DType dtype_;
  bool automatic_;
  Shortcuts shortcuts_;
  Pool* pool_;
  cuda::DeviceInfo device_;
  std::optional<Lane> lane_;  // outlives the memory below
  const Graph* graph_ = nullptr;
  std::shared_ptr<const StateDict> file_;
  std::map<DType, DeviceWeights> weights_;
  std::map<DType, Arena> arenas_;
  bool spill_ = false;
  int64_t limit_ = 0;
  std::list<Bound> bound_;  // most recent first
};

}  // namespace ups
