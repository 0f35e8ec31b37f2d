// Real graphs through every strip schedule: where memory lies must not change a bit of the picture.
#include "runtime/plan.h"
#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("strips of any height give the picture of an unstripped plan", "[arch][strips]") {
  Pool pool(2);
  UPS_RANDOM(random);
  for (const GoldenNet& net : golden_nets()) {
    DYNAMIC_SECTION(net.name) {
      const Network network = open_network(open_weights(net.weights));
      Graph graph(network.weights);
      graph.output(network.build(graph, graph.input(network.info.in_c)));
      const auto backend = make_cpu_backend(pool);
      backend->load(graph);
      const int m = network.info.multiple_of;
      if (net.name == "rrdb_new_x4" || net.name == "rrdb_old_x8")  // the schedules below are not all trivial
        REQUIRE(make_plan(graph, {48, 8}, {.strip_bytes = 1}).strip_first_op >= 0);
      for (int round = 0; round < 2; round++) {
        const Extent lr{m * random.integer(1, 48 / m), m * random.integer(1, 8 / m + 1)};
        const std::vector<float> pixels = random.normals(size_t(lr.pixels()) * network.info.in_c);
        std::vector<float> whole;
        for (size_t strip_bytes : {0, 1, 1 << 14, 1 << 16}) {
          Plan plan = make_plan(graph, lr, {.strip_bytes = strip_bytes});
          INFO(lr.h << " x " << lr.w << ", strips of " << strip_bytes << " bytes from operator "
                    << plan.strip_first_op);
          REQUIRE((strip_bytes > 0 || plan.strip_first_op < 0));
          backend->bind(plan);
          std::copy(pixels.begin(), pixels.end(), plan.x.at(0, 0));
          backend->run(plan, {});
          std::vector<float> y;
          for (int row = 0; row < plan.y.h; row++)
            y.insert(y.end(), plan.y.at(row, 0), plan.y.at(row, 0) + size_t(plan.y.w) * plan.y.c);
          if (whole.empty()) whole = y;
          REQUIRE(y.size() == whole.size());
          CHECK(y == whole);
        }
      }
    }
  }
}
