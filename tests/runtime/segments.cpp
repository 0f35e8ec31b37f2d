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

void add_block(StateDict& w, Random& random, const std::string& b, int cin, int mid, int cout) {
  add_norm(w, random, b + ".norm1", cin), add_conv(w, random, b + ".conv1", mid, cin);
  add_norm(w, random, b + ".norm2", mid), add_conv(w, random, b + ".conv2", cout, mid);
}

// Residual, with a convolution beside if there is one.
Value block(Graph& g, Value x, const std::string& b) {
  Value h = g.conv2d(g.group_norm(x, Scope(b + ".norm1"), 4, 1e-6f, Act::silu), Scope(b + ".conv1"));
  h = g.group_norm(h, Scope(b + ".norm2"), 8, 1e-6f, Act::silu);
  if (g.weights().has(b + ".side.weight")) x = g.conv2d(x, Scope(b + ".side"));
  return g.conv2d(h, Scope(b + ".conv2"), {.add = plus(x)});
}

// Down by 2 with zeros at the end only, two normalised residual blocks with attention between them, up by 2
// twice.
Network tiny_autoencoder(Random& random) {
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "in", 16, 3), add_conv(*w, random, "down", 16, 16);
  add_block(*w, random, "a", 16, 24, 16), add_block(*w, random, "b", 16, 24, 16);
  add_norm(*w, random, "norm", 16);
  for (const char* key : {"q", "k", "v"}) add_conv(*w, random, key, 16, 16, 1);
  w->add_owned("o.weight", {16, 16}, random.normals(256, 0.3f));  // linear, as diffusers stores it
  add_conv(*w, random, "up1", 16, 16), add_conv(*w, random, "up2", 24, 16);
  add_block(*w, random, "c", 24, 16, 16), add_conv(*w, random, "c.side", 16, 24, 1);
  add_norm(*w, random, "norm_out", 16), add_conv(*w, random, "out", 3, 16);
  Network n;
  n.info.family = "tiny autoencoder";
  n.info.scale = 2, n.info.default_scale = 2;
  n.weights = w;
  n.build = [](Graph& g, Value lr) {
    Value x = g.conv2d(g.conv2d(lr, Scope("in")), Scope("down"), {.stride = 2, .pad_end = true});
    x = block(g, x, "a");
    const Value n = g.group_norm(x, Scope("norm"), 4, 1e-6f, Act::none);
    const Value y =
        g.attention(g.conv2d(n, Scope("q")), g.conv2d(n, Scope("k")), g.conv2d(n, Scope("v")), 0.25f);
    x = block(g, g.linear(y, Scope("o"), {.add = plus(x)}), "b");
    x = block(g, g.conv2d(g.conv2d(x, Scope("up1"), {.up = 2}), Scope("up2"), {.up = 2}), "c");
    return g.conv2d(g.group_norm(x, Scope("norm_out"), 4, 1e-6f, Act::silu), Scope("out"));
  };
  return n;
}

struct Run {
  std::vector<float> y;
  Plan plan;
};

Run run(Backend& backend, const Graph& graph, Extent lr, size_t segment_bytes,
        InPlace in_place = InPlace::none) {
  Run r{{}, make_plan(graph, lr, {.segment_bytes = segment_bytes, .in_place = in_place})};
  Plan bound = r.plan;
  backend.bind(bound);
  float* x = static_cast<float*>(bound.x.data);
  for (int64_t i = 0; i < lr.pixels() * 3; i++) x[i] = std::sin(float(i) * 0.37f) + float(i % 7) * 0.1f;
  backend.run(bound, {});
  const float* y = static_cast<const float*>(bound.y.data);
  r.y.assign(y, y + bound.hr.pixels() * 3);
  return r;
}

// The graph of a tiny autoencoder, and the size of a picture for it.
struct AutoencoderGraph {
  explicit AutoencoderGraph(testing::Random& random)
      : network(tiny_autoencoder(random)),
        graph(network.weights),
        lr{2 * random.integer(20, 45), 2 * random.integer(5, 20)} {
    graph.output(network.build(graph, graph.input(3)));
  }
  const Network network;
  Graph graph;
  const Extent lr;
};

}  // namespace

TEST_CASE("a graph with whole-image statistics gives the same bits in strips of any height",
          "[runtime][segments]") {
  UPS_RANDOM(random);
  AutoencoderGraph net(random);
  Graph& graph = net.graph;
  const Extent lr = net.lr;
  INFO(lr.h << "x" << lr.w);
  for (int threads : {1, 3}) {
    Pool pool(threads);
    const auto backend = make_cpu_backend(pool);
    backend->load(graph);
    const Run whole = run(*backend, graph, lr, 0);
    CHECK(whole.plan.strip_first_op == -1);
    CHECK(whole.plan.hr.h == lr.h / 2 * 4);
    CHECK(whole.plan.hr.w == lr.w / 2 * 4);
    REQUIRE(std::isfinite(whole.y[0]));
    for (size_t bytes : {size_t(1), size_t(20000), size_t(100000)}) {
      const Run strips = run(*backend, graph, lr, bytes);
      CHECK(strips.plan.strip_first_op >= 0);
      CHECK(strips.plan.steps.size() > whole.plan.steps.size());
      // Large strips of a narrow image hold most of it.
      if (bytes < 100000) CHECK(strips.plan.arena_bytes < whole.plan.arena_bytes);
      CHECK(strips.y == whole.y);
      CHECK(strips.plan.flop == Approx(whole.plan.flop));
    }
  }
}

TEST_CASE("in strips an output takes the place of what its readers have passed, to the same bits",
          "[runtime][segments]") {
  UPS_RANDOM(random);
  AutoencoderGraph net(random);
  Graph& graph = net.graph;
  const Extent lr = net.lr;
  INFO(lr.h << "x" << lr.w);
  Pool pool(2);
  const auto backend = make_cpu_backend(pool);
  backend->load(graph);
  const Run whole = run(*backend, graph, lr, 0);
  for (size_t bytes : {size_t(1), size_t(20000)}) {
    const Run apart = run(*backend, graph, lr, bytes),
              strips = run(*backend, graph, lr, bytes, InPlace::convolutions);
    CHECK(strips.plan.arena_bytes < apart.plan.arena_bytes);
    CHECK(strips.y == whole.y);
    // The last convolution of block c, 24 channels in and 16 out, writes to where its input was.
    const Conv2d<Tensor>*side = nullptr, *last = nullptr;
    for (const PlanStep& step : strips.plan.steps) {
      const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op);
      if (!conv || step.row_begin != 0) continue;
      if (conv->w.k == 1 && conv->w.cin == 24) side = conv;
      if (conv->w.k == 3 && conv->w.cin == 16 && side && !last) last = conv;
    }
    REQUIRE((side && last));
    CHECK(last->y.data == side->x.data);
    CHECK(last->y.px == 16);
  }
}

TEST_CASE("in strips no output takes the place of what is still read", "[runtime][segments]") {
  UPS_RANDOM(random);
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "in", 16, 3);
  // A reader that needs a row beyond; an output that is wider than what it would replace.
  add_norm(*w, random, "halo.norm", 16);
  add_conv(*w, random, "halo.side", 16, 16), add_conv(*w, random, "halo.one", 16, 16, 1);
  add_block(*w, random, "grow", 16, 16, 24), add_conv(*w, random, "grow.side", 24, 16, 1);
  add_norm(*w, random, "norm", 24), add_norm(*w, random, "norm_out", 16);
  add_conv(*w, random, "one", 16, 24), add_conv(*w, random, "two", 16, 16);
  add_conv(*w, random, "late", 16, 24, 1), add_conv(*w, random, "early", 16, 24, 1);
  add_conv(*w, random, "out", 3, 16);
  Graph g(w);
  Value x = g.conv2d(g.input(3), Scope("in"));
  const Value flat = g.group_norm(x, Scope("halo.norm"), 4, 1e-6f, Act::silu);
  const Value side = g.conv2d(x, Scope("halo.side"));
  x = g.conv2d(flat, Scope("halo.one"), {.add = plus(side)});
  x = block(g, x, "grow");
  // A reader of x that waits for the rows of two convolutions, beside an output that does not.
  const Value n = g.group_norm(x, Scope("norm"), 4, 1e-6f, Act::none);
  const Value u = g.conv2d(g.conv2d(n, Scope("one")), Scope("two"));
  const Value late = g.conv2d(x, Scope("late"), {.add = plus(u)}), early = g.conv2d(n, Scope("early"));
  const Value end = g.group_norm(early, Scope("norm_out"), 4, 1e-6f, Act::silu);
  const Value beside = g.conv2d(late, Scope("out"));
  g.output(g.conv2d(end, Scope("out"), {.add = plus(beside)}));
  Pool pool(2);
  const auto backend = make_cpu_backend(pool);
  backend->load(g);
  const Extent lr{random.integer(50, 90), random.integer(5, 20)};
  const Run whole = run(*backend, g, lr, 0);
  REQUIRE(std::isfinite(whole.y[0]));
  for (size_t bytes : {size_t(1), size_t(20000)})
    CHECK(run(*backend, g, lr, bytes, InPlace::convolutions).y == whole.y);
}

TEST_CASE("segments end where an operator needs the whole of an earlier one", "[runtime][segments]") {
  UPS_RANDOM(random);
  const Network network = tiny_autoencoder(random);
  Graph graph(network.weights);
  graph.output(network.build(graph, graph.input(3)));
  // Eight normalisations and the attention each wait for something.
  const Placement placement = place_values(graph);
  CHECK(segment_starts(placement).size() == 10);
  CHECK(graph.context_px() > 1 << 20);
  CHECK_THROWS_AS(graph.group_norm(graph.input_value(), Scope("norm"), 2, 1e-6f, Act::none), Error);
}
