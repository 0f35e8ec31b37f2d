// Planner: nothing alive is overwritten, concats cost what they should, strips change nothing.
#include "runtime/plan.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/pool.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"
#include "runtime/arena.h"
#include "runtime/backend.h"
#include "runtime/placement.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/run_plan.h"

using namespace ups;
using ups::testing::Random;
using ups::testing::run_plan;

namespace {

std::unique_ptr<Graph> graph_of(const Network& n) {
  auto g = std::make_unique<Graph>(n.weights);
  g->output(n.build(*g, g->input(n.info.in_c)));
  return g;
}

}  // namespace

TEST_CASE("buffers that are alive together never share bytes", "[runtime][plan]") {
  UPS_RANDOM(random);
  for (int trial = 0; trial < 20; trial++) {
    const Network n =
        ups::testing::tiny_rrdb(random, random.integer(1, 12), random.integer(1, 6), random.integer(1, 4));
    const auto g = graph_of(n);
    const Plan plan = make_plan(*g, {random.integer(1, 70), random.integer(1, 70)}, {.strip_bytes = 20000});
    for (size_t i = 0; i < plan.buffers.size(); i++)
      for (size_t j = 0; j < i; j++) {
        const auto &a = plan.buffers[i], &b = plan.buffers[j];
        const bool together = a.first_op <= b.last_op && b.first_op <= a.last_op;
        const bool overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
        REQUIRE_FALSE((together && overlap));
        REQUIRE(a.offset + a.bytes <= plan.arena_bytes);
      }
  }
}

TEST_CASE("a residual-in-residual block costs one copy, its other concats none", "[runtime][plan]") {
  UPS_RANDOM(random);
  for (int blocks : {1, 3, 5}) {
    const auto g = graph_of(ups::testing::tiny_rrdb(random, 8, 4, blocks));
    // The block input outlives its first dense block: it is added again at the end.
    CHECK(make_plan(*g, {16, 16}).concat_copies == blocks);
  }
}

TEST_CASE("the dense block reads growing prefixes of one buffer", "[runtime][plan]") {
  UPS_RANDOM(random);
  const auto g = graph_of(ups::testing::tiny_rrdb(random));
  const Plan plan = make_plan(*g, {16, 16});
  int chains = 0;
  for (size_t i = 0; i + 2 < plan.steps.size(); i++) {
    std::vector<Conv2d<Tensor>> ops;
    for (size_t j = i; j < i + 3; j++)
      if (const auto* conv = std::get_if<Conv2d<Tensor>>(&plan.steps[j].op)) ops.push_back(*conv);
    if (ops.size() == 3 && ops[0].x.data == ops[1].x.data && ops[1].x.data == ops[2].x.data &&
        ops[0].x.c < ops[1].x.c && ops[1].x.c < ops[2].x.c)
      chains++;
  }
  CHECK(chains == 6);  // 2 blocks of 3
}

TEST_CASE("strips give exactly what the whole image gives, in less memory", "[runtime][plan]") {
  UPS_RANDOM(random);
  int stripped = 0;
  for (int trial = 0; trial < 12; trial++) {
    const Network n = ups::testing::tiny_rrdb(random, 8, 4, 1);
    const auto g = graph_of(n);
    const Extent lr{random.integer(9, 60), random.integer(1, 40)};
    const auto x = random.normals(size_t(lr.pixels()) * 3);
    const Plan whole = make_plan(*g, lr, {.strip_bytes = 0});
    const Plan strips = make_plan(*g, lr, {.strip_bytes = size_t(random.integer(1, 60000))});
    INFO("lr " << lr.w << "x" << lr.h);
    CHECK(whole.strip_first_op == -1);
    if (strips.strip_first_op >= 0) {
      stripped++;
      CHECK(strips.arena_bytes < whole.arena_bytes);
      CHECK(strips.flop == Approx(whole.flop));  // nothing is computed twice
    }
    const auto a = run_plan(*g, whole, x), b = run_plan(*g, strips, x);
    REQUIRE(a.size() == b.size());
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
  CHECK(stripped > 0);
}

TEST_CASE("an arena full of NaN changes nothing: every byte read was written", "[runtime][plan]") {
  UPS_RANDOM(random);
  const auto g = graph_of(ups::testing::tiny_rrdb(random));
  const Extent lr{37, 21};
  const auto x = random.normals(size_t(lr.pixels()) * 3);
  Plan plan = make_plan(*g, lr, {.strip_bytes = 30000});
  Pool pool(2);
  auto backend = make_cpu_backend(pool);
  backend->load(*g);
  Arena arena;
  std::vector<float> results[2];
  for (int pass = 0; pass < 2; pass++) {
    Plan p = plan;
    float* base = static_cast<float*>(arena.reserve(p.arena_bytes));
    std::fill(base, base + p.arena_bytes / sizeof(float), pass ? std::nanf("") : 0.0f);
    p.bind(base);
    std::copy(x.begin(), x.end(), static_cast<float*>(p.x.data));
    backend->run(p, {});
    const float* y = static_cast<const float*>(p.y.data);
    results[pass].assign(y, y + p.hr.pixels() * 3);
  }
  CHECK(std::memcmp(results[0].data(), results[1].data(), results[0].size() * sizeof(float)) == 0);
}

TEST_CASE("graph facts: parameters, FLOP and receptive field", "[runtime][graph]") {
  UPS_RANDOM(random);
  const auto g = graph_of(ups::testing::tiny_rrdb(random, 8, 4, 2));
  // 3->8, per dense block 8->4, 12->4, 16->8, then 8->8 three times and 8->3.
  const int64_t dense = 8 * 4 + 12 * 4 + 16 * 8;
  const int64_t weights = 9 * (3 * 8 + 6 * dense + 3 * 64 + 8 * 3), biases = 8 + 6 * (4 + 4 + 8) + 3 * 8 + 3;
  CHECK(g->parameters() == weights + biases);
  // The tail runs at twice the size: four pixels each.
  CHECK(g->flop_per_px() == Approx(2.0 * 9 * (3 * 8 + 6 * dense + 64 + 4 * (2 * 64 + 8 * 3))));
  CHECK(g->context_px() == 1 + 6 * 3 + 1 + 2);  // three half pixels at x2, rounded up
}

TEST_CASE("graph errors name the key", "[runtime][graph]") {
  auto w = std::make_shared<StateDict>();
  w->add_owned("a.weight", {4, 3, 3, 3}, std::vector<float>(108));
  w->add_owned("b.weight", {4, 5, 3, 3}, std::vector<float>(180));
  Graph g(w);
  const Value x = g.conv2d(g.input(3), Scope("a"));
  CHECK_THROWS_WITH(g.conv2d(x, Scope("b")), Catch::Contains("b: x has 4 channels, weight expects 5"));
  CHECK_THROWS_WITH(g.conv2d(x, Scope("c")), Catch::Contains("weight 'c.weight' is missing"));
  w->add_owned("t", {1}, {1});
  Graph wide(w);  // whose 46341^2 products per head an int could not count
  CHECK_THROWS_WITH(wide.cross_covariance_attention(wide.input(3 * 46341), "t"),
                    Catch::Contains("t: has 1 heads of 46341 channels"));
}

TEST_CASE("in place, outputs take the room of addends that nobody reads later, and no other",
          "[runtime][plan]") {
  UPS_RANDOM(random);
  const Network n = ups::testing::tiny_rrdb(random, 8, 4, 3);
  Graph g(n.weights);
  g.output(n.build(g, g.input(3)));
  for (size_t strip_bytes : {size_t(0), size_t(20000)}) {
    const Plan apart = make_plan(g, {40, 30}, {.strip_bytes = strip_bytes}),
               plan = make_plan(g, {40, 30}, {.strip_bytes = strip_bytes, .in_place = InPlace::all});
    CHECK(plan.arena_bytes <= apart.arena_bytes);
    int shared = 0;
    for (const PlanStep& step : plan.steps)
      if (const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op)) {
        shared += conv->add2.t.c && conv->add2.t.data == conv->y.data;
        CHECK(conv->y.data != conv->x.data);
      }
    CHECK(shared ==
          2);  // the second block takes the place of the first one's input, the third of the second's
  }
}

TEST_CASE("pixels of many channels begin at the multiples that a backend asks for", "[runtime][plan]") {
  UPS_RANDOM(random);
  const Network n = ups::testing::tiny_rrdb(random, 20, 6, 1);
  Graph g(n.weights);
  g.output(n.build(g, g.input(3)));
  int wide = 0;
  for (const PlanStep& step : make_plan(g, {40, 30}, {.strip_bytes = 20000, .pixel_multiple = 8}).steps)
    std::visit(
        [&](auto op) {
          op.operands([&](Tensor& t, bool) {
            if (t.c == 0) return;
            CHECK((t.px <= 16 || t.px % 8 == 0));
            CHECK(t.row == t.w * t.px);
            wide += t.px > t.c;
          });
        },
        step.op);
  CHECK(wide > 0);
}

TEST_CASE("a shortcut is an addend where a backend does not sum it in place", "[runtime][plan][shortcut]") {
  UPS_RANDOM(random);
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "first", 8, 3), add_conv(*w, random, "side", 12, 3, 1);
  add_conv(*w, random, "last", 12, 8), add_conv(*w, random, "other", 12, 3);
  Graph g(w);
  const Value x = g.input(3), h = g.conv2d(x, Scope("first"));
  const auto shortcut = [&](const ConvOptions& o) {
    ConvOptions all = o;
    all.shortcut = x, all.shortcut_weights = Scope("side");
    return g.conv2d(h, Scope("last"), all);
  };
  CHECK_THROWS_WITH(shortcut({.act = Act::relu}), Catch::Contains("last: a shortcut beside"));
  CHECK_THROWS_WITH(g.conv2d(h, Scope("last"), {.shortcut = x, .shortcut_weights = Scope("other")}),
                    Catch::Contains("other: weight has kernel 3"));
  g.output(shortcut({.scale = 0.5f}));
  const auto count = [](const Plan& plan) {
    int found = 0;
    for (const PlanStep& step : plan.steps)
      if (const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op)) found += conv->shortcut.present();
    return found;
  };
  const Plan apart = make_plan(g, {4, 4}),
             whole = make_plan(g, {4, 4}, {.whole = [](const Op<Value>&) { return true; }});
  CHECK(apart.steps.size() == 3);
  CHECK(count(apart) == 0);
  CHECK(whole.steps.size() == 2);
  CHECK(count(whole) == 1);
  CHECK(whole.flop == Approx(apart.flop));
  const auto& last = std::get<Conv2d<Tensor>>(apart.steps[2].op);
  CHECK(last.add.scale == 0.5f);
  CHECK(std::get<Conv2d<Tensor>>(apart.steps[1].op).y.data == last.add.t.data);
  CHECK(std::get<Conv2d<Tensor>>(whole.steps[1].op).shortcut.t.data == whole.x.data);
}
