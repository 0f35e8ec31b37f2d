// Graphs with statistics over the whole image: cut into segments, run in strips, equal to the last bit.
#include "kernels/cpu/pool.h"
#include "kernels/error.h"
#include "runtime/backend.h"
#include "runtime/placement.h"
#include "runtime/strips.h"
#include "tests/runtime/nets.h"

using namespace ups;
using namespace ups::testing;

namespace {

void add_norm(StateDict& w, Random& random, const std::string& key, int c) {
  w.add_owned(key + ".weight", {c}, random.normals(c)), w.add_owned(key + ".bias", {c}, random.normals(c));
}

// Down by 2 with zeros at the end only, two normalised residual blocks with attention between them, up by 2
// twice.
Network tiny_autoencoder(Random& random) {
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "in", 16, 3), add_conv(*w, random, "down", 16, 16);
  for (const std::string b : {"a", "b"}) {
    add_norm(*w, random, b + ".norm1", 16), add_conv(*w, random, b + ".conv1", 24, 16);
    add_norm(*w, random, b + ".norm2", 24), add_conv(*w, random, b + ".conv2", 16, 24);
  }
  add_norm(*w, random, "norm", 16);
  for (const char* key : {"q", "k", "v"}) add_conv(*w, random, key, 16, 16, 1);
  w->add_owned("o.weight", {16, 16}, random.normals(256, 0.3f));  // linear, as diffusers stores it
  add_conv(*w, random, "up1", 16, 16), add_conv(*w, random, "up2", 16, 16);
  add_norm(*w, random, "norm_out", 16), add_conv(*w, random, "out", 3, 16);
  Network n;
  n.info.family = "tiny autoencoder";
  n.info.scale = 2, n.info.default_scale = 2;
  n.weights = w;
  n.build = [](Graph& g, Value lr) {
    auto block = [&](Value x, const std::string& b) {
      Value h = g.conv2d(g.group_norm(x, Scope(b + ".norm1"), 4, 1e-6f, Act::silu), Scope(b + ".conv1"));
      h = g.group_norm(h, Scope(b + ".norm2"), 8, 1e-6f, Act::silu);
      return g.conv2d(h, Scope(b + ".conv2"), {.add = plus(x)});
    };
    Value x = g.conv2d(g.conv2d(lr, Scope("in")), Scope("down"), {.stride = 2, .pad_end = true});
    x = block(x, "a");
    const Value n = g.group_norm(x, Scope("norm"), 4, 1e-6f, Act::none);
    const Value y =
        g.attention(g.conv2d(n, Scope("q")), g.conv2d(n, Scope("k")), g.conv2d(n, Scope("v")), 0.25f);
    x = block(g.linear(y, Scope("o"), {.add = plus(x)}), "b");
    x = g.conv2d(g.conv2d(x, Scope("up1"), {.up = 2}), Scope("up2"), {.up = 2});
    return g.conv2d(g.group_norm(x, Scope("norm_out"), 4, 1e-6f, Act::silu), Scope("out"));
  };
  return n;
}

struct Run {
  std::vector<float> y;
  Plan plan;
};

Run run(Backend& backend, const Graph& graph, Extent lr, size_t segment_bytes) {
  Run r{{}, make_plan(graph, lr, {.segment_bytes = segment_bytes})};
  Plan bound = r.plan;
  backend.bind(bound);
  float* x = static_cast<float*>(bound.x.data);
  for (int64_t i = 0; i < lr.pixels() * 3; i++) x[i] = std::sin(float(i) * 0.37f) + float(i % 7) * 0.1f;
  backend.run(bound, {});
  const float* y = static_cast<const float*>(bound.y.data);
  r.y.assign(y, y + bound.hr.pixels() * 3);
  return r;
}

}  // namespace

TEST_CASE("a graph with whole-image statistics gives the same bits in strips of any height",
          "[runtime][segments]") {
  UPS_RANDOM(random);
  const Network network = tiny_autoencoder(random);
  Graph graph(network.weights);
  graph.output(network.build(graph, graph.input(3)));
  const int h = 2 * random.integer(20, 45), w = 2 * random.integer(5, 20);
  INFO(h << "x" << w);
  for (int threads : {1, 3}) {
    Pool pool(threads);
    const auto backend = make_cpu_backend(pool);
    backend->load(graph);
    const Run whole = run(*backend, graph, {h, w}, 0);
    CHECK(whole.plan.strip_first_op == -1);
    CHECK(whole.plan.hr.h == h / 2 * 4);
    CHECK(whole.plan.hr.w == w / 2 * 4);
    REQUIRE(std::isfinite(whole.y[0]));
    for (size_t bytes : {size_t(1), size_t(20000), size_t(100000)}) {
      const Run strips = run(*backend, graph, {h, w}, bytes);
      CHECK(strips.plan.strip_first_op >= 0);
      CHECK(strips.plan.steps.size() > whole.plan.steps.size());
      CHECK(strips.plan.arena_bytes < whole.plan.arena_bytes);
      CHECK(strips.y == whole.y);
      CHECK(strips.plan.flop == Approx(whole.plan.flop));
    }
  }
}

TEST_CASE("segments end where an operator needs the whole of an earlier one", "[runtime][segments]") {
  UPS_RANDOM(random);
  const Network network = tiny_autoencoder(random);
  Graph graph(network.weights);
  graph.output(network.build(graph, graph.input(3)));
  // Six normalisations and the attention each wait for something.
  const Placement placement = place_values(graph);
  CHECK(segment_starts(placement).size() == 8);
  CHECK(graph.context_px() > 1 << 20);
  CHECK_THROWS_AS(graph.group_norm(graph.input_value(), Scope("norm"), 2, 1e-6f, Act::none), Error);
}
