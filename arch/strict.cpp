// Compares the keys a graph reads with the keys a file holds.
#include "arch/strict.h"

#include <algorithm>
#include <set>

#include "arch/hyperparameters.h"
#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

namespace {

using WeightInfos = std::vector<Graph::WeightInfo>;

WeightInfos weights_of(const Network& network) {
  Graph graph(network.weights);
  graph.output(network.build(graph, graph.input(network.info.in_c)));
  return graph.weight_infos();
}

// A graph takes a convolution without a bias as it is; here that is a file that lost one, except for the
// layers that have none in some variant of their network.
void expect_biases(const Network& network, const WeightInfos& weights) {
  for (const Graph::WeightInfo& w : weights) {
    const std::string layer = w.weight_key.substr(0, w.weight_key.rfind('.'));
    const std::string name = layer.substr(layer.rfind('.') + 1);
    const bool may = name == "conv1x1" || name == "qkv" || name == "qk" || name == "v";
    check(w.flat || w.computed || may || !w.bias_key.empty(), Code::model, network.weights->source,
          ": weight '", layer, ".bias' is missing (", network.info.family, ")");
  }
}

// any: the network that the sentence names.
void expect_used(const Network& any, const WeightInfos& weights, const std::vector<std::string>& prefixes) {
  std::set<std::string> used;
  for (const Graph::WeightInfo& w : weights) used.insert({w.weight_key, w.bias_key, w.slope_key});
  for (const auto& item : any.weights->entries()) {
    const std::string& key = item.first;
    const bool theirs = std::any_of(prefixes.begin(), prefixes.end(),
                                    [&](const std::string& prefix) { return key.rfind(prefix, 0) == 0; });
    check(!theirs || used.count(key) || !is_floating(item.second.element) || item.second.shape.empty(),
          Code::model, any.weights->source, ": weight '", key, "' has no place in ", any.info.family, " (",
          any.info.variant, "); the file is a different network with similar keys");
  }
}

}  // namespace

Network strict_network(Info info, std::function<Value(Graph&, Value)> build,
                       std::shared_ptr<const StateDict> weights, int64_t parameters) {
  info.default_scale = metadata_number(*weights, "default_scale");
  Network network{std::move(info), std::move(build), std::move(weights), parameters};
  const WeightInfos infos = weights_of(network);
  expect_used(network, infos, {""});
  expect_biases(network, infos);
  return network;
}

void expect_every_tensor_used(const std::vector<const Network*>& networks,
                              const std::vector<std::string>& prefixes) {
  WeightInfos all;
  for (const Network* network : networks)
    for (Graph::WeightInfo& w : weights_of(*network)) all.push_back(std::move(w));
  expect_used(*networks.front(), all, prefixes);
}

}  // namespace ups
