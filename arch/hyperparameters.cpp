// Checks between untrusted shapes and the integers an arch file computes with.
#include "arch/hyperparameters.h"

#include <cstdlib>

#include "kernels/error.h"

namespace ups {

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

ConvShape conv_shape(const StateDict& weights, const std::string& key) {
  const std::vector<int64_t>& shape = weights.at(key).shape;
  bool ok = shape.size() == 4 && shape[2] == shape[3];
  for (int64_t size : shape) ok = ok && size >= 1 && size <= 65536;
  check(ok, Code::model, weights.source, ": weight '", key, "' has shape ", shape_text(shape),
        ", expected [out, in, k, k]");
  return {int(shape[0]), int(shape[1]), int(shape[2])};
}

void expect_conv(const StateDict& weights, const std::string& key, ConvShape e) {
  const ConvShape s = conv_shape(weights, key);
  check(s.cout == e.cout && s.cin == e.cin && s.k == e.k, Code::model, weights.source, ": weight '", key,
        "' has shape ", shape_text({s.cout, s.cin, s.k, s.k}), ", expected ",
        shape_text({e.cout, e.cin, e.k, e.k}));
}

int exact_root(int n) {
  for (int r = 1; int64_t(r) * r <= n; r++)
    if (r * r == n) return r;
  return 0;
}

double metadata_number(const StateDict& weights, const std::string& name) {
  const auto it = weights.metadata.find(name);
  if (it == weights.metadata.end() || it->second.empty()) return 0;
  char* end = nullptr;
  const double value = std::strtod(it->second.c_str(), &end);
  check(*end == '\0' && value > 0 && value <= 64, Code::model, weights.source, ": metadata '", name, "' is '",
        it->second.substr(0, 40), "', expected a number in (0, 64]");
  return value;
}

}  // namespace ups
