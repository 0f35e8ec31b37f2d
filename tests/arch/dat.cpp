// DAT against spandrel's modules (tests/golden/make_dat.py), from file to picture.
#include "tests/arch/golden_check.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

// A copy in which `key` has `count` zeros of the shape, or is missing where the shape is empty.
std::shared_ptr<StateDict> bent(const std::string& key, std::vector<int64_t> shape) {
  const auto from = open_weights(golden_folder() + "/dat/dat_2_x3.safetensors");
  auto to = std::make_shared<StateDict>();
  for (const auto& [name, entry] : from->entries())
    if (name != key) to->add(name, entry);
  int64_t count = 1;
  for (int64_t s : shape) count *= s;
  if (!shape.empty()) to->add_owned(key, std::move(shape), std::vector<float>(size_t(count)));
  to->source = "net.safetensors";
  to->keep(from);
  return to;
}

}  // namespace

TEST_CASE("DAT is recognised with the hyper-parameters it was made with", "[arch][dat]") {
  const auto nets = golden_nets("dat");
  REQUIRE(nets.size() == 4);
  Pool pool(1);
  for (const GoldenNet& net : nets) {
    INFO(net.name);
    const auto io = open_weights(net.io);
    const auto expected = [&](const std::string& key) { return std::stoi(io->metadata.at(key)); };
    Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
    const Info& info = session.info();
    CHECK(info.family == "DAT");
    CHECK(info.variant == io->metadata.at("variant"));
    CHECK(info.scale == expected("scale"));
    CHECK(info.in_c == expected("channels"));
    for (const auto& [key, value] : info.hyper) CHECK(value == expected(key));
    CHECK(session.facts().parameters == expected("parameters"));
    CHECK(session.facts().statistics);
  }
}

TEST_CASE("DAT gives the picture of the reference implementation", "[arch][dat]") {
  // The reference is float64, the graph some fifty float32 sums of at most 128 terms, which norms amplify a
  // little.
  check_pictures(golden_nets("dat"), 2e-5, [](const Session&) {});
}

TEST_CASE("a DAT with tensors missing, left over or of a wrong shape is refused by name", "[arch][dat]") {
  const std::string block = "layers.1.blocks.0.", attn = block + "attn.";
  for (const std::string& key :
       {attn + "qkv.weight", attn + "dwconv.1.running_var", attn + "spatial_interaction.3.weight",
        attn + "attns.1.pos.pos2.0.bias", block + "ffn.sg.norm.bias",
        std::string("layers.1.blocks.1.attn.temperature"), std::string("layers.0.conv.weight")})
    CHECK_THAT(refusal(bent(key, {})), Contains("'" + key + "' is missing"));
  CHECK_THAT(refusal(bent(attn + "extra.weight", {4})), Contains("has no place"));
  CHECK_THAT(refusal(bent(attn + "qkv.weight", {47, 16})), Contains("expected 48"));
  CHECK_THAT(refusal(bent(attn + "dwconv.0.weight", {16, 1, 3})), Contains("no convolution"));
  CHECK_THAT(refusal(bent(attn + "dwconv.1.running_var", {15})), Contains("expected 16"));
  CHECK_THAT(refusal(bent(attn + "attns.0.pos.pos1.2.weight", {3, 4})), Contains("pos1.2"));
  CHECK_THAT(refusal(bent(attn + "attns.0.pos.pos3.2.weight", {4000, 3})), Contains("heads"));
  CHECK_THAT(refusal(bent(block + "ffn.fc1.weight", {31, 16})), Contains("fc1"));
  CHECK_THAT(refusal(bent("layers.1.blocks.1.attn.temperature", {5, 1, 1})), Contains("temperature"));
  CHECK_THAT(refusal(bent("layers.0.blocks.0.attn.attns.0.rpe_biases", {21, 2})), Contains("rpe_biases"));
}
