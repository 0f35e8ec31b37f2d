// A plan run on the CPU: the picture x through the graph.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cpu/pool.h"
#include "runtime/backend.h"

namespace ups::testing {

inline std::vector<float> run_plan(const Graph& g, Plan plan, const std::vector<float>& x, int threads = 2) {
  Pool pool(threads);
  auto backend = make_cpu_backend(pool);
  backend->load(g);
  backend->bind(plan);
  std::copy(x.begin(), x.end(), static_cast<float*>(plan.x.data));
  backend->run(plan, {});
  const float* y = static_cast<const float*>(plan.y.data);
  return {y, y + plan.hr.pixels() * plan.y.c};
}

}  // namespace ups::testing
