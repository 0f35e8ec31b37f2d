// SwinIR, Swin2SR and HAT against spandrel's modules (tests/golden/make_transformers.py), from file to
// picture.
#include "tests/arch/golden_check.h"

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
  // The reference is float64, the graph some fifty float32 sums of at most 100 terms, which norms amplify a
  // little.
  check_pictures(transformers(), 2e-5, [](const Session&) {});
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
