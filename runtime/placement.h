// Concat placement: which buffer and channel offset each value of a graph lives at.
#pragma once

#include <vector>

#include "runtime/expand.h"

namespace ups {

// Operators with the copies the placement needs inserted, and a location for every value.
struct Placement {
  std::vector<Op<Value>> ops;
  struct Location {
    int buffer = -1;  // -1: the value is not stored (unused)
    int offset = 0;   // first channel
  };
  // By Value::id; ids beyond the graph's are of parts of composite operators and of copies made here.
  std::vector<Location> locations;
  std::vector<int> channels;
  struct Buffer {
    int c = 0;              // channels per pixel
    int num = 1, den = 1;   // extent relative to LR
    bool concat = false;    // holds slices of several values
    bool once = false;      // one f32 pixel
    int first_op, last_op;  // lifetime in `ops`, inclusive; first_op is -1 for the graph input
  };
  std::vector<Buffer> buffers;
  Rounding rounding = Rounding::exact;
  Extent extent(const Buffer& b, Extent lr) const;
  int copies = 0;
};

Placement place_values(const Graph& graph, const Whole& whole = {});

}  // namespace ups
