// Backend: where a plan runs. Packs weights once, owns the arena, executes steps.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/graph.h"
#include "runtime/plan.h"

namespace ups {

// Called with the fraction of the work done; throws Error{Code::cancelled} to stop.
using Progress = std::function<void(double done)>;

class DevicePass;

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string describe() const = 0;  // "CPU avx2, 2 threads"
  // How plans for this backend are made.
  virtual PlanOptions plan_options() const { return {}; }
  // Whether graphs are built with Graph::collapse(). Not where it would store parts of sums in 16 bits.
  virtual bool collapses() const { return false; }
  // Memory a run may take, weights included, when the caller does not say. The default lets x4plus do a
  // 512 x 512 image in four tiles.
  virtual int64_t budget_bytes() const { return int64_t(264) << 20; }
  // Packs the weights of the graph, which must outlive the backend; its file may be released afterwards.
  virtual void load(const Graph& graph) = 0;
  virtual size_t weight_bytes() const = 0;
  // Working memory that run() takes beside the arena, at most.
  virtual size_t scratch_bytes(const Plan& plan) const = 0;
  // Gives the plan an arena (shared by all plans of this backend: binding one invalidates the contents of
  // the others) and makes plan.x and plan.y f32 tensors that the host can fill and read.
  // Throws Error{Code::memory}.
  virtual void bind(Plan& plan) = 0;
  virtual void run(const Plan& plan, const Progress& progress) = 0;
  // Whether arenas from the next bind() on live outside the memory that is short: on the CPU in a temporary
  // file, of which only what a step touches is in memory; on a device in page-locked memory of the host,
  // which kernels reach over the bus.
  virtual void spill(bool) {}
  // Most bytes of an arena when a run is repeated in a safer precision, for which the caller has no plan; 0:
  // no limit.
  virtual void limit_arena(int64_t) {}
  // Gives the arena back; bind() takes one again.
  virtual void release() {}
  // Whole passes on the device (runtime/device_pass.h); null: pictures are cut and joined on the host.
  virtual DevicePass* device_pass() { return nullptr; }
  // One line per step: operator, shape, kernel variant. ups_plan counts equal ones.
  virtual std::string explain(const Plan& plan) const = 0;
};

class Pool;
std::unique_ptr<Backend> make_cpu_backend(Pool& pool);

}  // namespace ups
