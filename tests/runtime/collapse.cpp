// Collapsed convolutions around a pixel shuffle: the picture of the two, borders included, in less work.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/pool.h"
#include "runtime/backend.h"
#include "runtime/session.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/run_plan.h"

using namespace ups;
using namespace ups::testing;

namespace {

struct Shape {
  int cin, middle, n, r, k;
};

// cin -> middle, shuffled by r, -> n; the first convolution has kernel k.
Network tail(Random& random, const Shape& s) {
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "up", s.middle * s.r * s.r, s.cin, s.k);
  add_conv(*w, random, "last", s.n, s.middle);
  Network n;
  n.info.family = "tail", n.info.scale = s.r, n.info.in_c = s.cin, n.info.out_c = s.n;
  n.weights = w;
  n.build = [s](Graph& g, Value lr) { return g.shuffled_conv2d(lr, Scope("up"), s.r, Scope("last"), 0.5f); };
  return n;
}

Graph graph_of(const Network& n, bool collapse) {
  Graph g(n.weights);
  if (collapse) g.collapse();
  g.output(n.build(g, g.input(n.info.in_c)));
  return g;
}

std::vector<float> picture(const Graph& g, Extent lr, const std::vector<float>& x, size_t strip_bytes) {
  return run_plan(g, make_plan(g, lr, {.strip_bytes = strip_bytes}), x);
}

}  // namespace

TEST_CASE("a collapsed tail gives the picture of its two convolutions, borders included",
          "[runtime][collapse]") {
  UPS_RANDOM(random);
  for (const Shape& s : {Shape{5, 28, 3, 2, 3}, Shape{16, 64, 3, 3, 3}, Shape{64, 40, 4, 2, 3},
                         Shape{3, 10, 1, 4, 1}, Shape{7, 30, 3, 1, 5}}) {
    const Network network = tail(random, s);
    const Graph plain = graph_of(network, false), collapsed = graph_of(network, true);
    CHECK(collapsed.parameters() == plain.parameters());
    CHECK(collapsed.context_px() == plain.context_px());
    CHECK(collapsed.flop_per_px() < plain.flop_per_px());
    for (const Extent lr : {Extent{1, 1}, Extent{random.integer(2, 40), random.integer(1, 24)}}) {
      INFO(s.cin << " -> " << s.middle << " -> " << s.n << ", shuffle " << s.r << ", " << lr.h << "x"
                 << lr.w);
      const std::vector<float> x = random.normals(size_t(lr.pixels()) * s.cin);
      const std::vector<float> expected = picture(plain, lr, x, 0), y = picture(collapsed, lr, x, 0);
      REQUIRE(y.size() == expected.size());
      float most = 0, error = 0;
      for (size_t i = 0; i < y.size(); i++) {
        most = std::max(most, std::abs(expected[i]));
        error = std::max(error, std::abs(y[i] - expected[i]));
      }
      // Two sums of at most 600 terms of one sign or the other, 2^-24 * sqrt(600) each of what is some ten
      // times the smaller sums' size; Winograd doubles that.
      CHECK(error <= 3e-5f * std::max(most, 1.0f));
      CHECK(picture(collapsed, lr, x, 1) == y);
    }
  }
}

TEST_CASE("a tail collapses where that saves work and the graph is told to", "[runtime][collapse]") {
  UPS_RANDOM(random);
  const auto reads = [](const Graph& g, const std::string& key) {
    const auto& infos = g.weight_infos();
    return std::any_of(infos.begin(), infos.end(), [&](const auto& w) { return w.weight_key == key; });
  };
  const Network wide = tail(random, {4, 28, 3, 2, 3}), narrow = tail(random, {4, 27, 3, 2, 3});
  CHECK_FALSE(reads(graph_of(wide, true), "up.weight"));
  CHECK(reads(graph_of(wide, false), "up.weight"));
  CHECK(reads(graph_of(narrow, true), "up.weight"));  // 27 sums of the nine taps for three outputs
  Pool pool(1);
  CHECK(Session(wide, make_cpu_backend(pool)).facts().parameters == graph_of(wide, false).parameters());
}
