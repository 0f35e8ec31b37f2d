// Compares the keys a graph reads with the keys a file holds.
#include "arch/strict.h"

#include <set>

#include "kernels/error.h"

namespace ups {

void expect_every_tensor_used(const Network& network) {
  Graph graph(network.weights);
  graph.output(network.build(graph, graph.input(network.info.in_c)));
  std::set<std::string_view> used;
  for (const Graph::WeightInfo& w : graph.weight_infos())
    used.insert(
        {std::string_view(w.weight_key), std::string_view(w.bias_key), std::string_view(w.slope_key)});
  for (const auto& [key, entry] : network.weights->entries()) {
    const bool is_float = entry.element == Element::f64 || entry.element == Element::f32 ||
                          entry.element == Element::f16 || entry.element == Element::bf16;
    check(!is_float || entry.shape.empty() || used.count(key), Code::model, network.weights->source,
          ": weight '", key, "' has no place in ", network.info.family, " (", network.info.variant,
          "); the file is a different network with similar keys");
  }
}

}  // namespace ups
