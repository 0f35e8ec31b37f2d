// Every golden net, from file to picture: key dialect, container, wrapper, dtype, graph, plan and kernels.
#include <cstdlib>
#include <iostream>

#include "kernels/cpu/isa.h"
#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("golden nets are recognised with the hyper-parameters they were made with", "[arch][golden]") {
  const auto nets = golden_nets();
  REQUIRE(nets.size() >= 28);
  for (const GoldenNet& net : nets) {
    DYNAMIC_SECTION(net.name) {
      const auto io = open_weights(net.io);
      const Network network = open_network(open_weights(net.weights));
      const Info& info = network.info;
      const auto expected = [&](const std::string& key) { return std::stoi(io->metadata.at(key)); };
      CHECK(info.family == io->metadata.at("family"));
      CHECK(info.scale == expected("scale"));
      CHECK(info.default_scale == expected("scale"));
      CHECK(info.in_c == expected("in_channels"));
      CHECK(info.out_c == expected("out_channels"));
      CHECK(hyper(info, "num_feat") == expected("num_feat"));
      if (info.family == "ESRGAN") {
        CHECK(hyper(info, "num_block") == expected("num_block"));
        CHECK(hyper(info, "num_grow_ch") == expected("num_grow_ch"));
        CHECK(hyper(info, "unshuffle") == expected("unshuffle"));
        CHECK(hyper(info, "plus") == expected("plus"));
        CHECK(info.multiple_of == expected("unshuffle"));
        const std::string dialect = io->metadata.at("dialect");
        const char* words = dialect == "old" ? "old keys" : dialect == "mid" ? "BSRGAN keys" : "BasicSR keys";
        CHECK(info.variant.find(words) != std::string::npos);
      } else {
        CHECK(hyper(info, "num_conv") == expected("num_conv"));
        const std::string act = io->metadata.at("act");
        const char* word = act == "prelu" ? "PReLU" : act == "relu" ? " ReLU" : "LeakyReLU";
        CHECK(info.variant.find(word) != std::string::npos);
      }
    }
  }
}

TEST_CASE("golden nets give the picture of the reference implementation", "[arch][golden]") {
  for (int threads : {1, 3})
    for (const std::string& isa : cpu::isa_available()) {
      cpu::isa_force(isa);
      Pool pool(threads);
      for (const GoldenNet& net : golden_nets()) {
        DYNAMIC_SECTION(net.name << " on " << threads << " threads, " << isa) {
          const auto io = open_weights(net.io);
          const Planes reference = planes(*io, "output");
          Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
          const Planes hr = run_network(session, planes(*io, "input"));
          REQUIRE(hr.c == reference.c);
          REQUIRE(hr.h == reference.h);
          REQUIRE(hr.w == reference.w);
          double largest = 0, worst = 0;
          for (size_t i = 0; i < hr.v.size(); i++) {
            REQUIRE(std::isfinite(hr.v[i]));
            largest = std::max(largest, std::fabs(double(reference.v[i])));
            worst = std::max(worst, std::fabs(double(hr.v[i]) - reference.v[i]));
          }
          // The reference is float64, the graph a hundred float32 convolutions of at most 100 terms: errors
          // of 2^-24 * sqrt(100 * 100) at most.
          CHECK(worst <= 1e-5 * std::max(1.0, largest));
          if (std::getenv("UPS_PRINT_ERRORS") && threads == 1)
            std::cout << net.name << ' ' << isa << ' '
                      << std::filesystem::path(net.weights).extension().string() << ' '
                      << io->metadata.at("container") << ' ' << io->metadata.at("dtype") << ' ' << worst
                      << '\n';
        }
      }
    }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("a golden net gives the same picture whatever ran before in its session", "[arch][golden]") {
  Pool pool(2);
  for (const GoldenNet& net : golden_nets()) {
    if (net.name != "rrdb_unshuffle_x2" && net.name != "rrdb_plus_x4" && net.name != "srvgg_x3") continue;
    DYNAMIC_SECTION(net.name) {
      const auto io = open_weights(net.io);
      Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
      const Planes lr = planes(*io, "input");
      const Planes before = run_network(session, lr);
      UPS_RANDOM(random);
      Planes other{lr.c, lr.h + 5, lr.w + 2, {}};
      other.v = random.normals(size_t(other.c) * other.h * other.w);
      run_network(session, other);
      CHECK(run_network(session, lr).v == before.v);
    }
  }
}

// Perturbs one input pixel: a pixel further away than the receptive field cannot change, beyond the rounding
// of blocked convolutions, which share sums between neighbours.
TEST_CASE("the receptive field bounds how far one input pixel reaches", "[arch][golden]") {
  Pool pool(2);
  for (const GoldenNet& net : golden_nets()) {
    if (net.name != "srvgg_x2" && net.name != "srvgg_x1" && net.name != "rrdb_odd_channels") continue;
    DYNAMIC_SECTION(net.name) {
      Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
      const int context = session.facts().context_px, scale = session.info().scale;
      REQUIRE(context >= 3);
      UPS_RANDOM(random);
      Planes lr{session.info().in_c, 2 * context + 9, 2 * context + 9, {}};
      for (int i = 0; i < lr.c * lr.h * lr.w; i++) lr.v.push_back(random.uniform());
      const Planes before = run_network(session, lr);
      const int centre = context + 4;
      lr.at(0, centre, centre) += 1;
      const Planes after = run_network(session, lr);
      double noise = 1;
      for (float v : after.v) noise = std::max(noise, std::fabs(double(v)));
      noise *= 1e-5;
      int reach = 0;
      for (int k = 0; k < after.c; k++)
        for (int y = 0; y < after.h; y++)
          for (int x = 0; x < after.w; x++)
            if (std::fabs(double(after.at(k, y, x)) - before.at(k, y, x)) > noise)
              reach = std::max({reach, std::abs(y / scale - centre), std::abs(x / scale - centre)});
      CHECK(reach <= context);
      CHECK(reach >= context / 2);
    }
  }
}

TEST_CASE("a LeakyReLU slope stated by the metadata replaces the default of 0.1", "[arch][srvgg]") {
  Pool pool(1);
  for (const GoldenNet& net : golden_nets()) {
    if (net.name != "srvgg_leakyrelu_x3") continue;
    const auto io = open_weights(net.io);
    const auto run = [&](const char* slope) {
      auto weights = std::make_shared<StateDict>(*open_weights(net.weights));
      if (slope) weights->metadata["act_slope"] = slope;
      Session session(open_network(weights), make_cpu_backend(pool));
      return run_network(session, planes(*io, "input")).v;
    };
    CHECK(run("0.1") == run(nullptr));
    CHECK(run("0.2") != run(nullptr));
  }
}
