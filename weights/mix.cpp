// Tensor by tensor.
#include "weights/mix.h"

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

std::shared_ptr<const StateDict> mixed(std::shared_ptr<const StateDict> a, const StateDict& b, double share) {
  check(share >= 0 && share <= 1, Code::usage, "mix: got a share of ", share, ", expected 0 to 1");
  for (const auto& [key, entry] : b.entries())
    check(a->has(key), Code::model, "mix: ", b.source, " has a weight '", key, "', ", a->source,
          " has not (expected two networks of the same shape)");
  auto out = std::make_shared<StateDict>(*a);  // keeps a's memory
  out->clear_entries();
  for (const auto& [key, entry] : a->entries()) {
    const Entry* other = b.find(key);
    check(other, Code::model, "mix: ", a->source, " has a weight '", key, "', ", b.source,
          " has not (expected two networks of the same shape)");
    check(entry.shape == other->shape, Code::model, "mix: weight '", key, "' has shape ",
          shape_text(entry.shape), " in ", a->source, " and ", shape_text(other->shape), " in ", b.source,
          " (expected two networks of the same shape)");
    if (!is_floating(entry.element) || !is_floating(other->element)) {
      out->add(key, entry);
      continue;
    }
    std::vector<float> values = a->floats(key);
    const std::vector<float> to = b.floats(key);
    for (size_t i = 0; i < values.size(); i++)
      values[i] = float((1 - share) * double(values[i]) + share * double(to[i]));
    out->add_owned(key, entry.shape, std::move(values));
  }
  return out;
}

}  // namespace ups
