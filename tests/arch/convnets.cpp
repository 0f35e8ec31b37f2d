// EDSR, MDSR, RCAN and SPAN against their references (tests/golden/make_convnets.py), from file to picture.
#include "tests/arch/golden_check.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

std::vector<GoldenNet> convnets() { return golden_nets("convnets"); }

std::shared_ptr<const StateDict> weights_of(const std::string& name) {
  return open_weights(golden_folder() + "/convnets/" + name + ".safetensors");
}

// A copy that may be changed; without the keys that `drop` names.
std::shared_ptr<StateDict> changed(const std::string& name,
                                   const std::function<bool(const std::string&)>& drop) {
  const auto from = weights_of(name);
  auto to = std::make_shared<StateDict>();
  for (const auto& [key, entry] : from->entries())
    if (!drop(key)) to->add(key, entry);
  to->metadata = from->metadata;
  to->source = "net.safetensors";
  to->keep(from);
  return to;
}

bool nothing(const std::string&) { return false; }

}  // namespace

TEST_CASE("convolutional nets are recognised with the hyper-parameters they were made with",
          "[arch][convnets]") {
  const auto nets = convnets();
  REQUIRE(nets.size() == 17);
  for (const GoldenNet& net : nets) {
    INFO(net.name);
    const auto io = open_weights(net.io);
    const Info info = open_network(open_weights(net.weights)).info;
    const auto expected = [&](const std::string& key) { return std::stoi(io->metadata.at(key)); };
    CHECK(info.family == io->metadata.at("family"));
    CHECK_THAT(info.variant, Catch::StartsWith(io->metadata.at("variant")));
    CHECK(info.scale == expected("scale"));
    CHECK(info.in_c == expected("channels"));
    CHECK(info.out_c == expected("channels"));
    for (const auto& [key, value] : info.hyper) CHECK(value == expected(key));
  }
}

TEST_CASE("convolutional nets give the picture of the reference implementation", "[arch][convnets]") {
  // The reference is float64, the graph some twenty float32 sums of at most 60 terms: errors of
  // 2^-24 * sqrt(20 * 60) of the largest activation, which the mean shift takes to 1..255 and back.
  check_pictures(convnets(), 1e-5, [](const Session& session) {
    CHECK(session.facts().statistics == (session.info().family == "RCAN"));
  });
}

TEST_CASE("a convolutional net that lacks or has a tensor too many is refused by name", "[arch][convnets]") {
  const auto without = [](const std::string& name, const std::string& key) {
    return refusal(changed(name, [&](const std::string& k) { return k == key; }));
  };
  for (const auto& [name, key] :
       std::vector<std::pair<std::string, std::string>>{{"edsr_x2", "body.1.body.2.weight"},
                                                        {"edsr_x2", "add_mean.bias"},
                                                        {"edsr_basicsr_x4", "body.1.conv2.weight"},
                                                        {"mdsr_x4", "pre_process.2.1.body.0.weight"},
                                                        {"rcan_x2", "body.1.body.0.body.3.conv_du.2.weight"},
                                                        {"rcan_x2", "body.0.body.2.weight"},
                                                        {"rcan_basicsr_x4", "body.1.conv.weight"},
                                                        {"span_x4", "block_3.c2_r.conv.1.weight"},
                                                        {"span_x4", "block_3.c2_r.sk.bias"}})
    CHECK_THAT(without(name, key), Contains("'" + key + "' is missing"));
  for (const char* name :
       {"edsr_x2", "edsr_basicsr_x4", "mdsr_x4", "rcan_x2", "rcan_basicsr_x4", "span_x4"}) {
    auto extra = changed(name, nothing);
    extra->add_owned("body.0.attention.weight", {4, 4, 1, 1}, std::vector<float>(16));
    CHECK_THAT(refusal(extra), Contains("'body.0.attention.weight' has no place"));
  }
}

TEST_CASE("tensors of a shape that does not fit are refused", "[arch][convnets]") {
  const auto bent = [](const std::string& name, const std::string& key, std::vector<int64_t> shape) {
    auto w = changed(name, [&](const std::string& k) { return k == key; });
    int64_t count = 1;
    for (int64_t s : shape) count *= s;
    w->add_owned(key, std::move(shape), std::vector<float>(size_t(count), 0.5f));
    return refusal(w);
  };
  CHECK_THAT(bent("edsr_x2", "tail.0.0.weight", {20, 4, 3, 3}), Contains("tail.0.0.weight"));
  CHECK_THAT(bent("edsr_x2", "sub_mean.weight", {3, 3, 1, 1}), Contains("diagonal"));
  CHECK_THAT(bent("edsr_x2", "sub_mean.bias", {2}), Contains("sub_mean"));
  CHECK_THAT(bent("edsr_x2", "tail.1.bias", {2}), Contains("tail.1.bias"));
  CHECK_THAT(bent("rcan_x2", "body.1.body.0.body.3.conv_du.0.weight", {2, 5, 1, 1}), Contains("conv_du.0"));
  CHECK_THAT(bent("rcan_x2", "body.1.body.0.body.3.conv_du.2.weight", {7, 2, 1, 1}), Contains("conv_du.2"));
  CHECK_THAT(bent("rcan_pu_x2", "head.1.weight", {4, 27, 3, 3}), Contains("whole scale"));
  CHECK_THAT(bent("span_x4", "block_2.c1_r.conv.1.weight", {12, 11, 3, 3}), Contains("block_2.c1_r"));
  CHECK_THAT(bent("span_x4", "block_2.c1_r.conv.1.bias", {11}), Contains("block_2.c1_r.conv.1.bias"));
  CHECK_THAT(bent("span_x3_stripped", "conv_2.eval_conv.bias", {5}), Contains("conv_2"));
}

TEST_CASE("an MDSR file runs at the scale its metadata states", "[arch][convnets]") {
  auto w = changed("mdsr_x4", nothing);
  w->metadata["scale"] = "3";
  CHECK(open_network(w).info.scale == 3);
  w->metadata["scale"] = "5";
  CHECK_THAT(refusal(w), Contains("expected one of 2, 3, 4"));
}

TEST_CASE("the 256-channel EDSR scales its residuals, unless the metadata says otherwise",
          "[arch][convnets]") {
  auto w = std::make_shared<StateDict>();
  const auto conv = [&](const std::string& at, int64_t out, int64_t in) {
    w->add_owned(at + ".weight", {out, in, 3, 3}, std::vector<float>(size_t(out * in * 9)));
    w->add_owned(at + ".bias", {out}, std::vector<float>(size_t(out)));
  };
  conv("conv_first", 256, 3), conv("body.0.conv1", 256, 256), conv("body.0.conv2", 256, 256);
  conv("conv_after_body", 256, 256), conv("upsample.0", 1024, 256), conv("conv_last", 3, 256);
  CHECK_THAT(open_network(w).info.variant, Contains("scaled residuals"));
  w->metadata["res_scale"] = "1";
  CHECK_THAT(open_network(w).info.variant, !Contains("scaled residuals"));
}
