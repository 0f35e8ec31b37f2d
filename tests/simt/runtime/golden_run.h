// A golden net through the CUDA backend, beside the picture of the reference.
#pragma once

#include "runtime/backend_cuda.h"
#include "tests/arch/golden_net.h"
#include "tests/device/twin.h"

namespace ups::testing {

inline Session open_on_device(const GoldenNet& net, Precision precision) {
  return {open_network(open_weights(net.weights)), make_cuda_backend(test_device(), precision)};
}

struct Outcome {
  double worst = 0, largest = 0;  // error; value of the reference
  // To the largest value, or to 1 if that is smaller.
  double relative() const { return worst / std::max(1.0, largest); }
};

inline Outcome outcome_of(Session& session, const Planes& lr, const Planes& reference) {
  const Planes hr = run_network(session, lr);
  REQUIRE(hr.v.size() == reference.v.size());
  Outcome o;
  for (size_t i = 0; i < hr.v.size(); i++) {
    REQUIRE(std::isfinite(hr.v[i]));
    o.largest = std::max(o.largest, std::fabs(double(reference.v[i])));
    o.worst = std::max(o.worst, std::fabs(double(hr.v[i]) - reference.v[i]));
  }
  return o;
}

// `picture`: what the names of its input and output end with.
inline Outcome run_golden(const GoldenNet& net, Precision precision, const std::string& picture = "") {
  const auto io = open_weights(net.io);
  Session session = open_on_device(net, precision);
  return outcome_of(session, planes(*io, "input" + picture), planes(*io, "output" + picture));
}

}  // namespace ups::testing
