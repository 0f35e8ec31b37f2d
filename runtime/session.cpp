// Session: graph, weights and plans of one network on one backend.
#include "runtime/session.h"

#include <utility>

#include "kernels/error.h"

namespace ups {
namespace {

// Of a segment when intermediates live in a file. Each convolution holds back up to four rows, so that many
// more would keep a small picture in memory as a whole.
constexpr int kSpilledSegmentOps = 8;

}  // namespace

Session::Session(Network network, std::unique_ptr<Backend> backend)
    : info_(network.info), graph_(std::make_unique<Graph>(network.weights)), backend_(std::move(backend)) {
  if (backend_->collapses()) graph_->collapse();
  graph_->output(network.build(*graph_, graph_->input(info_.in_c)));
  const auto& y = graph_->values()[graph_->output_value().id];
  check(y.c == info_.out_c && y.num * info_.down == info_.scale * y.den, Code::model, info_.family,
        ": the network gives ", y.c, " channels at ", y.num, "/", y.den, " of the input size, expected ",
        info_.out_c, " at ", info_.scale);
  facts_ = {network.parameters ? network.parameters : graph_->parameters(), graph_->flop_per_px(),
            graph_->context_px(), graph_->statistics()};
  options_ = backend_->plan_options();
  backend_->load(*graph_);
  graph_->release_weights();
}

Plan& Session::cached(Extent lr) {
  for (auto it = plans_.begin(); it != plans_.end(); ++it)
    if (it->lr == lr) {
      plans_.splice(plans_.begin(), plans_, it);
      return plans_.front();
    }
  plans_.push_front(make_plan(*graph_, lr, options_));
  // A plan is a few hundred kB, and searching a tile size asks for a dozen; but that of a large picture in
  // one tile, with which the search begins, has strips by the thousand.
  constexpr size_t kMostPlans = 32, kMostSteps = 8192;
  size_t steps = 0;
  for (const Plan& plan : plans_) steps += plan.steps.capacity();
  while (plans_.size() > 1 && (plans_.size() > kMostPlans || steps > kMostSteps)) {
    steps -= plans_.back().steps.capacity();
    plans_.pop_back();
  }
  return plans_.front();
}

const Plan& Session::plan(Extent lr) { return cached(lr); }

size_t Session::working_bytes(Extent lr) {
  const Plan& p = cached(lr);
  return p.arena_bytes + backend_->scratch_bytes(p);
}

const Plan& Session::prepare(Extent lr) {
  if (!(bound_.lr == lr)) {
    bound_ = {};  // memory that is not to be had leaves nothing ready
    Plan plan = cached(lr);
    backend_->bind(plan);
    bound_ = std::move(plan);
  }
  return bound_;
}

void Session::run(const Progress& progress) {
  check(bound_.lr.h > 0, Code::usage, "session: run() before prepare()");
  backend_->run(bound_, progress);
}

void Session::use_segments(size_t bytes, bool spill) {
  if (options_.segment_bytes == bytes && spill_ == spill) return;
  plans_.clear();
  release();
  options_.segment_bytes = bytes, spill_ = spill;
  options_.segment_ops = spill ? kSpilledSegmentOps : 0;
  backend_->spill(spill);
}

void Session::release() {
  bound_ = {};
  backend_->release();
}

}  // namespace ups
