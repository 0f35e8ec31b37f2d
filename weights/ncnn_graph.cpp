// Interning of expressions, and the two networks as expressions.
#include "weights/ncnn_graph.h"

#include <algorithm>
#include <cstdio>

namespace ups::ncnn {

std::string Graph::number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);  // the precision with which exporters write
  return text;
}

Value Graph::intern(const std::string& operation, std::vector<Value> inputs) {
  return numbers_.try_emplace({operation, std::move(inputs)}, Value(numbers_.size())).first->second;
}

Value Graph::sum(std::vector<Value> terms) {
  std::sort(terms.begin(), terms.end());  // addition commutes
  return intern("sum", std::move(terms));
}

Value Graph::product(std::vector<Value> factors) {
  std::sort(factors.begin(), factors.end());
  return intern("product", std::move(factors));
}

Value rrdb_net(Graph& g, int blocks, int ups, bool unshuffled) {
  constexpr double kSlope = 0.2, kResidual = 0.2;
  int order = 0;
  const auto conv = [&](Value x) { return g.convolution(order++, x); };
  const auto conv_act = [&](Value x) { return g.leaky_relu(kSlope, conv(x)); };

  const Value image = unshuffled ? g.unshuffle(g.input()) : g.input();
  const Value first = conv(image);
  Value x = first;
  for (int block = 0; block < blocks; ++block) {
    const Value block_input = x;
    for (int dense = 0; dense < 3; ++dense) {
      std::vector<Value> parts{x};
      for (int j = 0; j < 4; ++j) parts.push_back(conv_act(g.concat(parts)));
      x = g.sum({g.scaled(kResidual, conv(g.concat(parts))), x});
    }
    x = g.sum({g.scaled(kResidual, x), block_input});
  }
  x = g.sum({first, conv(x)});
  for (int up = 0; up < ups; ++up) x = conv_act(g.nearest(2, x));
  return conv(conv_act(x));
}

Value compact_net(Graph& g, int convolutions, int scale, bool prelu, double slope) {
  const Value image = g.input();
  Value x = image;
  for (int i = 0; i < convolutions; ++i) {
    x = g.convolution(i, x);
    if (i == convolutions - 1) break;
    x = prelu ? g.prelu(i, x) : g.leaky_relu(slope, x);
  }
  return g.sum({g.pixel_shuffle(scale, x), g.nearest(scale, image)});
}

Value span_net(Graph& g, int scale, bool normalised) {
  int order = 0;
  const auto conv = [&](Value x) { return g.convolution(order++, x); };
  const Value first = conv(normalised ? g.scaled(255, g.centred(g.input())) : g.input());
  Value x = first, after_first_block = 0, a1 = 0;
  for (int block = 0; block < 6; ++block) {
    a1 = g.function("swish", conv(x));
    const Value o3 = conv(g.function("swish", conv(a1)));
    x = g.product({g.sum({o3, x}), g.offset(-0.5, g.function("sigmoid", o3))});
    if (block == 0) after_first_block = x;
  }
  x = conv(g.concat({first, conv(x), after_first_block, a1}));
  return g.pixel_shuffle(scale, conv(x));
}

}  // namespace ups::ncnn
