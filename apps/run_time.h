// How long a run will take on this machine: the network by its plan, the rest by trying it on a piece of the
// picture.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "apps/run_plan.h"

namespace ups::apps {

struct RunSeconds {
  double reading = 0, network = 0, resampling = 0, finishing = 0, encoding = 0;
  double all = 0;             // less than their sum where rows are encoded while others are computed
  std::string parts() const;  // "reading 0.01 s, network 2.5 s, encoding 0.3 s", what there is
};

// Remembers what it measured: of a batch only pictures of a new kind are tried.
class RunTime {
 public:
  // reading: what it took, in seconds.
  RunSeconds of(const Model& model, const Image& lr, double reading, Format format, const Options& options,
                const Sizes& sizes, const std::vector<Json>& plans);

 private:
  struct Rates {  // seconds per pixel
    double resampling = 0, finishing = 0, encoding = 0;
  };
  using Kind = std::tuple<int, int, int, int>;  // channels, depth, size and factor, coarsely
  std::map<Kind, Rates> measured_;
};

}  // namespace ups::apps
