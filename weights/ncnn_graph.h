// Recognition of ncnn graphs by value numbering.
//
// Graph interns expressions: two ways of writing the same computation get the same number (a ReLU fused into
// its convolution or after it; Eltwise with coefficients or a multiplication and an addition). A file is an
// RRDBNet when the number of its output equals that of the RRDBNet written down here, and so on: nothing
// about the graph is left to guessing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "weights/ncnn_param.h"

namespace ups::ncnn {

using Value = int;

class Graph {
 public:
  Value input() { return intern("input"); }
  Value unshuffle(Value x) { return intern("unshuffle", {x}); }
  Value convolution(int order, Value x) { return intern("conv" + std::to_string(order), {x}); }
  Value prelu(int order, Value x) { return intern("prelu" + std::to_string(order), {x}); }
  Value leaky_relu(double slope, Value x) { return intern("relu " + number(slope), {x}); }
  Value concat(std::vector<Value> parts) { return parts.size() == 1 ? parts[0] : intern("concat", parts); }
  Value scaled(double factor, Value x) { return factor == 1 ? x : intern("scale " + number(factor), {x}); }
  Value sum(std::vector<Value> terms);
  Value product(std::vector<Value> factors);
  Value offset(double shift, Value x) { return intern("offset " + number(shift), {x}); }
  Value function(const std::string& name, Value x) { return intern(name, {x}); }
  // x minus the mean of DIV2K of each channel.
  Value centred(Value x) { return intern("centred", {x}); }
  Value nearest(double factor, Value x) { return factor == 1 ? x : intern("nearest " + number(factor), {x}); }
  Value pixel_shuffle(int factor, Value x) {
    return factor == 1 ? x : intern("shuffle " + std::to_string(factor), {x});
  }
  Value other(const std::string& what, std::vector<Value> inputs) { return intern(what, std::move(inputs)); }

 private:
  static std::string number(double value);
  Value intern(const std::string& operation, std::vector<Value> inputs = {});
  std::map<std::pair<std::string, std::vector<Value>>, Value> numbers_;
};

// RRDBNet (Wang et al. 2018): convolutions are numbered in execution order.
Value rrdb_net(Graph& g, int blocks, int ups, bool unshuffled);
// SRVGGNetCompact: `convolutions` of them, all but the last followed by a PReLU, or else a leaky ReLU of this
// slope; pixel shuffle, plus the image.
Value compact_net(Graph& g, int convolutions, int scale, bool prelu, double slope);
// SPAN (Wan et al. 2023) with its convolutions collapsed; normalised: it takes (x - mean) * 255.
Value span_net(Graph& g, int scale, bool normalised);

}  // namespace ups::ncnn
