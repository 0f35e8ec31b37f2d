// StateDict: lookups, conversions and checked insertion; key rules and prefixes.
#include "weights/state_dict.h"

#include <array>
#include <cmath>

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/unwrap.h"

using namespace ups;
using namespace ups::testing;

namespace {

StateDict with_keys(const std::vector<std::string>& keys) {
  StateDict weights;
  for (const std::string& key : keys) weights.add_owned(key, {1}, {1.0f});
  return weights;
}

std::vector<std::string> stripped(const std::vector<std::string>& keys) {
  std::vector<std::string> names;
  const StateDict weights = strip_prefixes(with_keys(keys));
  for (const auto& [key, entry] : weights.entries()) names.push_back(key);
  return names;
}

}  // namespace

TEST_CASE("all half-precision values convert to the float they denote", "[weights][element]") {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = uint16_t(i);
  StateDict weights;
  weights.add("h", {Element::f16, {65536}, std::as_bytes(std::span(halves))});
  const std::vector<float> values = weights.floats("h");
  size_t wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    const int exponent = i >> 10 & 31, fraction = i & 1023;
    const float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                            : exponent     ? std::ldexp(float(1024 + fraction), exponent - 25)
                                           : std::ldexp(float(fraction), -24);
    const float value = values[size_t(i)];
    const bool sign = i & 0x8000;
    wrong += std::isnan(magnitude) ? !std::isnan(value)
                                   : value != (sign ? -magnitude : magnitude) || std::signbit(value) != sign;
  }
  CHECK(wrong == 0);
}

TEST_CASE("doubles beyond the float range become infinity", "[weights][element]") {
  const std::array<double, 5> doubles{1e300, -1e300, 3.5e38, 0.1, -2};
  StateDict weights;
  weights.add("d", {Element::f64, {5}, std::as_bytes(std::span(doubles))});
  CHECK(weights.floats("d") == std::vector<float>{INFINITY, -INFINITY, INFINITY, 0.1f, -2});
}

TEST_CASE("a missing weight is named, with the file", "[weights][state_dict]") {
  StateDict weights = with_keys({"a"});
  weights.source = "net.pth";
  CHECK(sentence([&] { weights.at("body.0.weight"); }) == "net.pth: weight 'body.0.weight' is missing");
  CHECK(sentence([&] { weights.dim("a", 1); }).find("has shape [1], expected at least 2 dimensions") !=
        std::string::npos);
  CHECK(weights.find("b") == nullptr);
  CHECK(weights.dim("a", 0) == 1);
}

TEST_CASE("integer tensors are not converted to float", "[weights][state_dict]") {
  const std::array<int64_t, 2> values{1, 2};
  StateDict weights;
  weights.add("index", {Element::i64, {2}, std::as_bytes(std::span(values))});
  CHECK(sentence([&] { weights.floats("index"); }) ==
        "weight 'index' holds I64 values, expected a floating type");
}

TEST_CASE("an entry that contradicts its shape, or appears twice, is refused", "[weights][state_dict]") {
  StateDict weights = with_keys({"a"});
  CHECK(sentence([&] { weights.add_owned("a", {1}, {2}); }) == "weight 'a' appears twice");
  CHECK(sentence([&] {
          weights.add_owned("b", {2, 2}, {1, 2, 3});
        }) == "weight 'b' has 12 bytes, which contradicts its shape [2, 2] of F32");
  CHECK(sentence([&] { weights.add_owned("b", {1}, {1, 2}); }) != "");
  CHECK(sentence([&] { weights.add_owned("c", {int64_t(1) << 62, 1 << 10}, {}); }) != "");
  CHECK(sentence([&] { weights.add_owned("d", {-1, -1}, {1}); }) != "");
  // Nobody may count to 2^80 on the way to zero.
  CHECK(sentence([&] { weights.add_owned("e", {int64_t(1) << 40, int64_t(1) << 40, 0}, {}); }) != "");
  weights.add_owned("f", {0, int64_t(1) << 40, int64_t(1) << 40}, {});
  CHECK(weights.at("f").count() == 0);
}

TEST_CASE("a copy of a state dict keeps its values alive", "[weights][state_dict]") {
  StateDict copy;
  {
    StateDict weights;
    weights.add_owned("a", {2}, {3, 4});
    copy = weights;
  }
  CHECK(copy.floats("a") == std::vector<float>{3, 4});
}

TEST_CASE("sequence_length is one more than the largest child index", "[weights][state_dict]") {
  const StateDict weights =
      with_keys({"body.0.w", "body.10.w", "body.2.w", "body.x.w", "bodyguard.99.w", "body.77",
                 "body.99999999999.w", "1.weight", "4.weight", "body.12a.w"});
  CHECK(weights.sequence_length("body") == 11);
  CHECK(weights.sequence_length("") == 5);
  CHECK(weights.sequence_length("tail") == 0);
}

TEST_CASE("a key rule wants all, any and none", "[weights][state_dict]") {
  const StateDict weights = with_keys({"a", "b"});
  CHECK(KeyRule{{"a", "b"}, {}, {}}.matches(weights));
  CHECK_FALSE(KeyRule{{"a", "c"}, {}, {}}.matches(weights));
  CHECK(KeyRule{{"a"}, {"c", "b"}, {"d"}}.matches(weights));
  CHECK_FALSE(KeyRule{{"a"}, {"c"}, {}}.matches(weights));
  CHECK_FALSE(KeyRule{{"a"}, {}, {"b"}}.matches(weights));
}

TEST_CASE("prefixes go when all keys share them, but old ESRGAN keys stay", "[weights][unwrap]") {
  using Names = std::vector<std::string>;
  CHECK(stripped({"module.a", "module.b"}) == Names{"a", "b"});
  CHECK(stripped({"module.a", "b"}) == Names{"b", "module.a"});
  CHECK(stripped({"module.netG.a", "module.netG.b"}) == Names{"a", "b"});
  CHECK(stripped({"params_ema.module.a"}) == Names{"a"});
  CHECK(stripped({"model.0.weight", "model.1.sub.0.x"}) == Names{"model.0.weight", "model.1.sub.0.x"});
  CHECK(stripped({"model.conv_first.weight"}) == Names{"conv_first.weight"});
  CHECK(stripped({"module."}) == Names{"module."});
}
