// A backend that does what another one does, for tests to interfere with; its passes run on the host.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "runtime/backend.h"

namespace ups::testing {

class WrappedBackend : public Backend {
 public:
  explicit WrappedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  std::string describe() const override { return inner_->describe(); }
  PlanOptions plan_options() const override { return inner_->plan_options(); }
  bool collapses() const override { return inner_->collapses(); }
  int64_t budget_bytes() const override { return inner_->budget_bytes(); }
  void load(const Graph& graph) override { inner_->load(graph); }
  size_t weight_bytes() const override { return inner_->weight_bytes(); }
  size_t scratch_bytes(const Plan& plan) const override { return inner_->scratch_bytes(plan); }
  void bind(Plan& plan) override { inner_->bind(plan); }
  void run(const Plan& plan, const Progress& progress) override { inner_->run(plan, progress); }
  std::string explain(const Plan& plan) const override { return inner_->explain(plan); }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace ups::testing
