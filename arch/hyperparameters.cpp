// Checks between untrusted shapes and the integers an arch file computes with.
#include "arch/hyperparameters.h"

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

namespace {

// What the metadata state under `name`, 0 where nothing.
double stated(const StateDict& weights, const std::string& name, bool (*within)(double), const char* range) {
  const std::string text = weights.metadata_text(name);
  if (text.empty()) return 0;
  const std::optional<double> value = text_number(text);
  check(value && within(*value), Code::model, weights.source, ": metadata '", name, "' is '",
        text.substr(0, 40), "', expected a number in ", range);
  return *value;
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
        "' has shape ", shape_text(std::vector<int64_t>{s.cout, s.cin, s.k, s.k}), ", expected ",
        shape_text(std::vector<int64_t>{e.cout, e.cin, e.k, e.k}));
}

int exact_root(int n) {
  for (int r = 1; int64_t(r) * r <= n; r++)
    if (r * r == n) return r;
  return 0;
}

double metadata_number(const StateDict& weights, const std::string& name) {
  return stated(
      weights, name, [](double v) { return v > 0 && v <= 64; }, "(0, 64]");
}

double metadata_shift(const StateDict& weights, const std::string& name) {
  return stated(
      weights, name, [](double v) { return v >= -64 && v <= 64; }, "[-64, 64]");
}

}  // namespace ups
