// How long a run will take on this machine: the network by its plan, the rest by trying it on a piece of the
// picture.
#pragma once

#include <algorithm>
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

struct Area {
  double width = 0, height = 0;
  double pixels() const { return width * height; }
};
// What classical resampling a run does.
struct Resampling {
  Area from, to;      // the largest
  double pixels = 0;  // of all, each counted on its larger side
  void add(const Area& a, const Area& b) {
    if (a.width == b.width && a.height == b.height) return;
    pixels += std::max(a.pixels(), b.pixels());
    if (b.pixels() >= to.pixels()) from = a, to = b;
  }
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
  static Rates measure(const Model& model, const Image& lr, Format format, const Options& options,
                       const Sizes& sizes, const Resampling& resampling);
  using Kind = std::tuple<int, int, int, int>;  // channels, depth, size and factor, coarsely
  std::map<Kind, Rates> measured_;
};

}  // namespace ups::apps
