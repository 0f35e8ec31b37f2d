// Layout: where the intermediates of a placed graph lie in the arena at one image size, and which operators
// run in strips.
#pragma once

#include <vector>

#include "runtime/placement.h"
#include "runtime/plan.h"
#include "runtime/strips.h"

namespace ups {

// Operators [first, end): in strips, or, without any, over the whole image.
struct Segment {
  int first, end;
  StripSchedule strips;
};

struct Layout {
  std::vector<Segment> segments;
  int strip_first_op = -1;
  std::vector<Plan::Buffer> buffers;
  size_t arena_bytes = 0;
};

// With strips for the last operators where that takes the smallest arena; of a graph with statistics of the
// whole image, for each of its segments. Error{Code::memory} when sizes exceed the address space.
Layout best_layout(const Placement& placement, Extent lr, const PlanOptions& options);

}  // namespace ups
