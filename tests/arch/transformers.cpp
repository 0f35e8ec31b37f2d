// SwinIR, Swin2SR and HAT against spandrel's modules (tests/golden/make_transformers.py), from file to
// picture.
#include <iostream>

#include "kernels/cpu/isa.h"
#include "kernels/error.h"
#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

std::vector<GoldenNet> transformers() { return golden_nets("transformers"); }

GoldenNet transformer(const std::string& name) {
  for (const GoldenNet& net : transformers())
    if (net.name == name) return net;
  FAIL("no golden net " << name);
  return {};
}

std::string refusal(const std::shared_ptr<StateDict>& weights) {
  try {
    open_network(weights);
  } catch (const Error& e) {
    CHECK(e.code == Code::model);
    return e.what();
  }
  return "accepted";
}

// A copy without the keys that `drop` names.
std::shared_ptr<StateDict> without(const std::string& name,
                                   const std::function<bool(const std::string&)>& drop) {
  const auto from = open_weights(transformer(name).weights);
  auto to = std::make_shared<StateDict>();
  for (const auto& [key, entry] : from->entries())
    if (!drop(key)) to->add(key, entry);
  to->source = "net.safetensors";
  to->keep(from);
  return to;
}

}  // namespace

TEST_CASE("transformers are recognised with the hyper-parameters they were made with",
          "[arch][transformers]") {
  const auto nets = transformers();
  REQUIRE(nets.size() >= 24);
  Pool pool(1);
  for (const GoldenNet& net : nets) {
    INFO(net.name);
    const auto io = open_weights(net.io);
    const auto expected = [&](const std::string& key) { return std::stoi(io->metadata.at(key)); };
    Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
    const Info& info = session.info();
    CHECK(info.family == io->metadata.at("family"));
    CHECK(info.scale == expected("scale"));
    CHECK(info.in_c == expected("channels"));
    CHECK(info.out_c == expected("channels"));
    CHECK(info.multiple_of == expected("multiple_of"));
    for (const char* name : {"embed_dim", "window_size", "num_layers", "depth", "num_heads"})
      CHECK(hyper(info, name) == expected(name));
    CHECK(session.facts().parameters == expected("parameters"));
  }
}

TEST_CASE("transformers give the picture of the reference implementation", "[arch][transformers]") {
  for (int threads : {1, 3})
    for (const std::string& isa : cpu::isa_available()) {
      cpu::isa_force(isa);
      Pool pool(threads);
      for (const GoldenNet& net : transformers()) {
        const auto io = open_weights(net.io);
        Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
        for (int i = 0; io->has("input" + std::to_string(i)); i++) {
          INFO(net.name << " picture " << i << ", " << threads << " threads, " << isa);
          const Planes reference = planes(*io, "output" + std::to_string(i));
          const Planes hr = run_network(session, planes(*io, "input" + std::to_string(i)));
          REQUIRE(hr.v.size() == reference.v.size());
          double largest = 0, worst = 0;
          bool finite = true;
          for (size_t k = 0; k < hr.v.size(); k++) {
            finite = finite && std::isfinite(hr.v[k]);
            largest = std::max(largest, std::fabs(double(reference.v[k])));
            worst = std::max(worst, std::fabs(double(hr.v[k]) - reference.v[k]));
          }
          CHECK(finite);
          // The reference is float64, the graph some fifty float32 sums of at most 100 terms, which norms
          // amplify a little.
          CHECK(worst <= 2e-5 * std::max(1.0, largest));
          if (std::getenv("UPS_PRINT_ERRORS") && threads == 1)
            std::cout << net.name << ' ' << isa << ' ' << i << ' ' << worst << '\n';
        }
      }
    }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("a transformer that lacks or has a tensor too many is refused by name", "[arch][transformers]") {
  const std::string key = "layers.0.residual_group.blocks.1.attn.proj.weight";
  const auto is = [](const std::string& wanted) { return [=](const std::string& k) { return k == wanted; }; };
  CHECK_THAT(refusal(without("swinir_real_x4", is(key))), Contains("'" + key + "' is missing"));
  const std::string table = "layers.0.residual_group.blocks.1.attn.relative_position_bias_table";
  CHECK_THAT(refusal(without("swinir_real_x4", is(table))), Contains("'" + table + "' is missing"));
  auto extra = without("swinir_real_x4", is(""));
  extra->add_owned("absolute_pos_embed", {1, 4, 8}, std::vector<float>(32));
  CHECK_THAT(refusal(extra), Contains("'absolute_pos_embed' has no place"));
  auto wide = without("swinir_real_x4", is(table));
  wide->add_owned(table, {49, 3}, std::vector<float>(147));
  CHECK_THAT(refusal(wide), Contains("expected [49, 2]"));
}

TEST_CASE("position index and mask buffers may be absent", "[arch][transformers]") {
  const auto bare = without("swinir_classical_x2", [](const std::string& k) {
    return k.find("relative_position_index") != std::string::npos || k.find("attn_mask") != std::string::npos;
  });
  CHECK(refusal(bare) == "accepted");
}
