// Session: a network made ready on a backend. Packs the weights once, keeps the plans of recent extents.
#pragma once

#include <list>
#include <memory>

#include "runtime/backend.h"
#include "runtime/model.h"

namespace ups {

// What Info does not say because it follows from the graph.
struct Facts {
  int64_t parameters = 0;
  double flop_per_px = 0;   // per LR pixel, a multiply-add counted as two
  int context_px = 0;       // radius of the receptive field, LR pixels
  bool statistics = false;  // takes means over all pixels: a tile gives other results than the whole image
};

class Session {
 public:
  // Builds the graph and loads the weights; the weight file is released. Throws Error{Code::model}.
  Session(Network network, std::unique_ptr<Backend> backend);

  const Info& info() const { return info_; }
  const Facts& facts() const { return facts_; }
  const Backend& backend() const { return *backend_; }
  DevicePass* device_pass() { return backend_->device_pass(); }

  // The plan of one LR extent (a multiple of info().multiple_of), without memory behind it.
  const Plan& plan(Extent lr);
  // Working bytes of running that plan: arena and scratch.
  size_t working_bytes(Extent lr);

  // Makes the plan runnable and returns it: fill plan.x, run(), read plan.y. Valid until the next prepare().
  const Plan& prepare(Extent lr);
  void run(const Progress& progress = {});

  // For graphs with statistics over the whole image: the working set of a strip, and whether intermediates
  // live outside of memory (Backend::spill). Forgets all plans when that changes anything.
  void use_segments(size_t bytes, bool spill);
  // Of the backend, as Backend says.
  void limit_arena(int64_t bytes) { backend_->limit_arena(bytes); }
  // Gives back the memory of the plan that is ready; weights stay.
  void release();

 private:
  Plan& cached(Extent lr);

  Info info_;
  Facts facts_;
  std::unique_ptr<Graph> graph_;  // outlives the backend, which refers to it
  std::unique_ptr<Backend> backend_;
  std::list<Plan> plans_;  // unbound, most recent first
  Plan bound_;
  PlanOptions options_;
  bool spill_ = false;
};

}  // namespace ups
