// Interpolating two networks.
#include "weights/mix.h"

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

namespace {

std::shared_ptr<StateDict> dict(const std::string& name, std::vector<float> w, int64_t rows = 2) {
  auto d = std::make_shared<StateDict>();
  d->source = name;
  const int64_t columns = int64_t(w.size()) / rows;
  d->add_owned("conv.weight", {rows, columns}, std::move(w));
  d->metadata["name"] = name;
  return d;
}

}  // namespace

TEST_CASE("every tensor is interpolated linearly", "[weights][mix]") {
  const auto a = dict("a", {1, 2, 3, 4}), b = dict("b", {3, 0, 3, 8});
  CHECK(mixed(a, *b, 0)->floats("conv.weight") == std::vector<float>{1, 2, 3, 4});
  CHECK(mixed(a, *b, 1)->floats("conv.weight") == std::vector<float>{3, 0, 3, 8});
  const auto half = mixed(a, *b, 0.25);
  CHECK(half->floats("conv.weight") == std::vector<float>{1.5, 1.5, 3, 5});
  CHECK(half->metadata.at("name") == "a");
  CHECK(half->at("conv.weight").shape == std::vector<int64_t>{2, 2});
}

TEST_CASE("networks of different shape are not mixed", "[weights][mix]") {
  const auto a = dict("a", {1, 2, 3, 4}), other = dict("b", {1, 2, 3, 4}, 1);
  CHECK_THROWS_WITH(mixed(a, *other, 0.5), Catch::Contains("has shape") && Catch::Contains("same shape"));
  const auto more = dict("more", {1, 2, 3, 4});
  more->add_owned("extra", {1}, {0});
  CHECK_THROWS_WITH(mixed(a, *more, 0.5), Catch::Contains("more has a weight 'extra', a has not"));
  CHECK_THROWS_WITH(mixed(more, *a, 0.5), Catch::Contains("more has a weight 'extra', a has not"));
  CHECK_THROWS_AS(mixed(a, *a, 1.01), Error);
  CHECK_THROWS_AS(mixed(a, *a, -0.1), Error);
}
