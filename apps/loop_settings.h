// What the command line says about loops, in the library's terms.
#pragma once

#include <vector>

#include "upscale.h"

namespace ups::apps {

// A factor for the library, to which 0 means "not set" and below 0 means 0.
inline float unless_zero(double factor) { return factor == 0 ? -1.f : float(factor); }

struct LoopSettings {
  ups_loop values{};  // but for filters
  std::vector<ups_filter> filters;

  // Valid as long as this object. Without anything set, a run is what it is without a loop.
  ups_loop library() const {
    ups_loop l = values;
    l.size = sizeof l;
    l.filters = filters.data(), l.filter_count = int(filters.size());
    return l;
  }
};

}  // namespace ups::apps
