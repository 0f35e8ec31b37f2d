// What is refused, and whether the sentence helps: unknown networks, missing, extra and misshapen tensors.
#include <functional>

#include "arch/derived.h"
#include "arch/hyperparameters.h"
#include "kernels/error.h"
#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

using Dict = std::shared_ptr<StateDict>;

Dict golden(const std::string& name, const std::string& area = "nets") {
  for (const GoldenNet& net : golden_nets(area))
    if (net.name == name) return std::make_shared<StateDict>(*open_weights(net.weights));
  FAIL("no golden net " << name);
  return {};
}

// A copy whose entries `keep` passes, under the names it gives them ("" drops one).
Dict renamed(const Dict& from, const std::function<std::string(const std::string&)>& rename) {
  auto to = std::make_shared<StateDict>();
  for (const auto& [key, entry] : from->entries()) {
    const std::string name = rename(key);
    if (!name.empty()) to->add(name, entry);
  }
  to->metadata = from->metadata;
  to->source = "net.pth";
  to->keep(from);
  return to;
}

Dict without(const Dict& from, const std::string& key) {
  return renamed(from, [&](const std::string& k) { return k == key ? "" : k; });
}

Dict reshaped(const Dict& from, const std::string& key, const std::vector<int64_t>& shape) {
  Dict to = without(from, key);
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  to->add_owned(key, shape, std::vector<float>(size_t(count), 0.5f));
  return to;
}

std::string refusal(const Dict& weights) {
  try {
    open_network(weights);
  } catch (const Error& e) {
    CHECK(e.code == Code::model);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an unknown network is refused with the supported list and the first keys", "[arch][detection]") {
  auto weights = std::make_shared<StateDict>();
  weights->source = "mystery.pth";
  for (const char* key : {"layers.0.a.weight", "layers.0.b.weight", "norm.weight"})
    weights->add_owned(key, {2}, {1, 2});
  const std::string sentence = refusal(weights);
  CHECK_THAT(sentence, Contains("mystery.pth"));
  CHECK_THAT(sentence, Contains("ESRGAN"));
  CHECK_THAT(sentence, Contains("Compact"));
  CHECK_THAT(sentence, Contains("layers.0.a.weight, layers.0.b.weight, norm.weight"));
  CHECK_THAT(refusal(std::make_shared<StateDict>()), Contains("unknown network"));
  weights->add_owned("decoder.layers.0.bias", {2}, {1, 2});
  CHECK_THAT(refusal(weights), Contains("upscale encode, decode and latent"));
}

TEST_CASE("every family has an id, a summary and a rule", "[arch][registry]") {
  REQUIRE(families().size() >= 2);
  for (const Family* family : families()) {
    CHECK(std::string(family->id) != "");
    CHECK(std::string(family->summary) != "");
    CHECK_FALSE(family->detect(StateDict{}));
  }
}

TEST_CASE("a missing tensor is named, whichever it is", "[arch][detection]") {
  for (const char* name : {"rrdb_new_x4", "rrdb_old_x2", "rrdb_mid_x4", "rrdb_plus_x4", "srvgg_x2"}) {
    const Dict full = golden(name);
    for (const auto& [key, entry] : full->entries()) {
      const std::string sentence = refusal(without(full, key));
      INFO(name << " without " << key);
      CHECK(sentence != "accepted");
      // Where detection, depth or an activation hangs on the key, the sentence is another one.
      if (sentence.find("is missing") != std::string::npos)
        CHECK_THAT(sentence, Contains("weight '" + key + "' is missing"));
    }
  }
  CHECK_THAT(refusal(without(golden("rrdb_new_x4"), "body.1.rdb2.conv3.weight")),
             Contains("weight 'body.1.rdb2.conv3.weight' is missing"));
  CHECK_THAT(refusal(without(golden("rrdb_old_x4"), "model.1.sub.1.RDB3.conv5.0.weight")),
             Contains("weight 'model.1.sub.1.RDB3.conv5.0.weight' is missing"));
  CHECK_THAT(refusal(without(golden("rrdb_new_x4"), "conv_up1.weight")),
             Contains("weight 'conv_up1.weight' is missing"));
  CHECK_THAT(refusal(without(golden("srvgg_x2"), "body.5.weight")),
             Contains("weight 'body.5.weight' is missing"));
}

TEST_CASE("a tensor of the wrong shape is named", "[arch][detection]") {
  const Dict rrdb = golden("rrdb_new_x4"), srvgg = golden("srvgg_x2");  // num_feat 8, num_grow_ch 4
  CHECK_THAT(refusal(reshaped(rrdb, "body.1.rdb1.conv2.weight", {4, 11, 3, 3})),
             Contains("body.1.rdb1.conv2") && Contains("12") && Contains("11"));
  CHECK_THAT(refusal(reshaped(rrdb, "conv_first.weight", {8, 27})),
             Contains("'conv_first.weight' has shape [8, 27], expected [out, in, k, k]"));
  CHECK_THAT(refusal(reshaped(rrdb, "conv_last.weight", {3, 8, 3, 1})),
             Contains("'conv_last.weight' has shape [3, 8, 3, 1]"));
  CHECK_THAT(refusal(reshaped(rrdb, "conv_last.weight", {3, 9, 3, 3})),
             Contains("'conv_last.weight'") && Contains("expected [3, 8, 3, 3]"));
  CHECK_THAT(refusal(reshaped(rrdb, "conv_hr.weight", {0, 8, 3, 3})), Contains("conv_hr"));
  CHECK_THAT(refusal(reshaped(rrdb, "conv_hr.bias", {9})), Contains("conv_hr.bias"));
  CHECK_THAT(refusal(reshaped(rrdb, "body.0.rdb1.conv1.weight", {5, 8, 3, 3})), Contains("body.0.rdb1.conv"));
  CHECK_THAT(refusal(reshaped(srvgg, "body.1.weight", {9})), Contains("body.1.weight"));
  CHECK_THAT(refusal(reshaped(srvgg, "body.8.weight", {10, 8, 3, 3})), Contains("10 outputs"));
  CHECK_THAT(refusal(reshaped(srvgg, "body.8.weight", {12})), Contains("body.8.weight"));
}

TEST_CASE("a small file does not ask for much memory", "[arch][detection]") {
  // Convolutions of 65536 channels over one in between would collapse to 9 x 65536 x 65536 numbers.
  Dict span = golden("span_x2_no_norm", "convnets");
  const int64_t wide = 65536;
  const std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {{"sk", {1, wide, 1, 1}},
                                                                            {"conv.0", {1, wide, 1, 1}},
                                                                            {"conv.1", {wide, 1, 3, 3}},
                                                                            {"conv.2", {1, wide, 1, 1}}};
  for (const auto& [layer, shape] : shapes) span = reshaped(span, "conv_1." + layer + ".weight", shape);
  CHECK_THAT(refusal(span), Contains("derived numbers"));

  Derived derived(golden("srvgg_x2"));
  derived.expect_room(1 << 20);
  for (int i = 0; i < 2; i++)
    derived.set("table" + std::to_string(i), {1 << 19}, std::vector<float>(1 << 19));
  CHECK_THROWS_AS(derived.expect_room(1 << 19), Error);
  CHECK_THROWS_AS(derived.set("table", {1 << 19}, std::vector<float>(1 << 19)), Error);
}

TEST_CASE("a tensor the network has no place for is refused, a training counter is not",
          "[arch][detection]") {
  Dict extra = golden("rrdb_new_x4");
  extra->add_owned("body.0.rdb1.attention.weight", {4}, {1, 2, 3, 4});
  CHECK_THAT(refusal(extra), Contains("'body.0.rdb1.attention.weight' has no place"));

  Dict counted = golden("rrdb_new_x4");
  counted->add_owned("iteration", {}, {4000});
  CHECK(refusal(counted) == "accepted");
}

TEST_CASE("one old-key step is x2 unless the metadata says x3", "[arch][rrdb]") {
  const Dict x3 = golden("rrdb_old_x3");
  CHECK(open_network(x3).info.scale == 3);
  const Dict untold = renamed(x3, [](const std::string& key) { return key; });
  untold->metadata.clear();
  CHECK(open_network(untold).info.scale == 2);
  untold->metadata["scale"] = "2x, for photos";  // of another tool: no reason to refuse the file
  CHECK(open_network(untold).info.scale == 2);
}

TEST_CASE("default_scale comes from the metadata and must be a sane number", "[arch][hyperparameters]") {
  const Dict weights = golden("srvgg_x4");
  CHECK(open_network(weights).info.default_scale == 4);
  weights->metadata["default_scale"] = "2";
  CHECK(open_network(weights).info.default_scale == 2);
  CHECK(open_network(weights).info.scale == 4);
  for (const char* text : {"0", "-2", "nan", "inf", "1e9", "two", "2x", "65"}) {
    weights->metadata["default_scale"] = text;
    CHECK_THAT(refusal(weights), Contains("'default_scale' is '" + std::string(text)));
  }
}

TEST_CASE("Compact without PReLU needs its activation told", "[arch][srvgg]") {
  const Dict relu = golden("srvgg_relu_x2");
  relu->metadata.clear();
  CHECK_THAT(refusal(relu), Contains("'act'") && Contains("relu"));
  relu->metadata["act"] = "gelu";
  CHECK_THAT(refusal(relu), Contains("'gelu'"));
}

TEST_CASE("absurd depth and upsampling in a hostile file end in a sentence", "[arch][detection]") {
  Dict deep = golden("rrdb_new_x4");
  deep->add_owned("body.9999999.rdb1.conv1.weight", {1}, {0});
  CHECK_THAT(refusal(deep), Contains("weight 'body.2.rdb1.conv1.weight' is missing"));

  Dict tall = golden("rrdb_old_x4");
  tall->add_owned("model.5000000.weight", {1}, {0});
  CHECK_THAT(refusal(tall), Contains("'model' has 5000001 layers"));

  Dict wide = golden("srvgg_x2");
  wide->add_owned("body.9999998.weight", {1}, {0});
  CHECK_THAT(refusal(wide), Contains("body.9999998.weight"));

  // One x2 step behind a pixel-unshuffle by 4 would be a scale of one half.
  CHECK_THAT(refusal(reshaped(golden("rrdb_mid_x2"), "conv_first.weight", {4, 48, 3, 3})),
             Contains("expected a whole scale"));
}

TEST_CASE("exact roots", "[arch][hyperparameters]") {
  CHECK(exact_root(16) == 4);
  CHECK(exact_root(1) == 1);
  CHECK(exact_root(12) == 0);
  CHECK(exact_root(0) == 0);
  CHECK(exact_root(-4) == 0);
  CHECK(exact_root(2147483647) == 0);
}

TEST_CASE("random damage to a state dict ends in a sentence or in a network that runs", "[arch][detection]") {
  UPS_RANDOM(random);
  Pool pool(1);
  int accepted = 0;
  const auto nets = golden_nets();
  for (int round = 0; round < 300; round++) {
    const GoldenNet& net = nets[random.integer(0, int(nets.size()) - 1)];
    Dict weights = golden(net.name);
    std::vector<std::string> keys;
    for (const auto& [key, entry] : weights->entries()) keys.push_back(key);
    const auto any_key = [&] { return keys[random.integer(0, int(keys.size()) - 1)]; };
    for (int damage = random.integer(0, 2); damage > 0; damage--) {
      const std::string key = any_key();
      if (!weights->has(key)) continue;
      std::vector<int64_t> shape = weights->at(key).shape;
      switch (random.integer(0, 3)) {
        case 0:
          weights = without(weights, key);
          break;
        case 1:
          if (!shape.empty()) shape[random.integer(0, int(shape.size()) - 1)] = random.integer(0, 50);
          weights = reshaped(weights, key, shape);
          break;
        case 2:
          shape.resize(random.integer(0, 5), 1);
          weights = reshaped(weights, key, shape);
          break;
        default:
          weights = renamed(weights, [&](const std::string& k) { return k == key ? "odd." + k : k; });
      }
    }
    INFO(net.name << ", round " << round);
    try {
      Session session(open_network(weights), make_cpu_backend(pool));
      Planes lr{session.info().in_c, 4, 5, {}};
      lr.v = random.normals(size_t(lr.c) * lr.h * lr.w);
      run_network(session, lr);
      accepted++;
    } catch (const Error& e) {
      CHECK(e.code == Code::model);
      CHECK(std::string(e.what()).size() > 20);
    }
  }
  CHECK(accepted > 0);  // a third of the rounds do no damage
}
