// The ncnn reader: walks the layers once, takes the weights of each convolution and PReLU from the .bin in
// order, and numbers the values; then names the weights after the network whose output has the same number.
#include "weights/ncnn.h"

#include <cmath>
#include <cstring>

#include "kernels/error.h"
#include "weights/element.h"
#include "weights/ncnn_graph.h"

namespace ups {
namespace {

using namespace ncnn;

constexpr uint32_t kTagF32 = 0, kTagF16 = 0x01306B47, kTagI8 = 0x000D4B38;
constexpr int kMaxChannels = 1 << 16;

struct Parameters {
  Entry weight, bias;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bin, const std::string& name) : bin_(bin), name_(name) {}

  StateDict read(std::string_view param) {
    for (const Layer& layer : parse_param(param, name_)) visit(layer);
    check(at_ == bin_.size(), Code::model, name_, ": the .bin has ", bin_.size() - at_,
          " bytes after the last weight (.param and .bin of different models?)");
    require(!convolutions_.empty() && output_ >= 0, "has no convolutions");
    StateDict weights;
    weights.source = name_;
    if (!name_compact(weights) && !name_span(weights)) name_rrdb(weights);
    return weights;
  }

 private:
  struct Blob {
    Value value = 0;
    int channels = 0;  // 0: the image, whose channels the first convolution tells
  };

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, Code::model, name_, ": the ncnn model ", parts...);
  }

  // Weights.
  std::span<const std::byte> take(uint64_t bytes, const Layer& layer) {
    check(bytes <= bin_.size() - at_, Code::model, name_, ": the .bin ends inside ", layer.described(), ": ",
          bytes, " bytes expected at offset ", at_, ", ", bin_.size() - at_, " left (truncated file?)");
    const auto part = bin_.subspan(at_, size_t(bytes));
    at_ += size_t(bytes);
    return part;
  }
  Entry take_raw(int64_t count, const Layer& layer) {
    return {Element::f32, {count}, take(uint64_t(count) * 4, layer)};
  }
  Entry take_tagged(std::vector<int64_t> shape, const Layer& layer) {
    Entry entry{Element::f32, std::move(shape), {}};
    const auto count = uint64_t(entry.count());
    uint32_t tag = 0;
    std::memcpy(&tag, take(4, layer).data(), sizeof tag);
    require(tag != kTagI8, "has int8 weights in ", layer.described(), ", expected fp32 or fp16");
    require(tag == kTagF32 || tag == kTagF16, "has weights with the tag ", tag, " in ", layer.described(),
            ", expected fp32 or fp16 (quantised models are not supported)");
    if (tag == kTagF16) {
      entry.element = Element::f16;
      entry.bytes = take((count * 2 + 3) / 4 * 4, layer).first(size_t(count * 2));
    } else {
      entry.bytes = take(count * 4, layer);
    }
    return entry;
  }

  // Blobs.
  Blob in(const Layer& layer, size_t i = 0) const {
    require(i < layer.inputs.size(), "lacks input ", i, " of ", layer.described());
    const auto found = blobs_.find(layer.inputs[i]);
    require(found != blobs_.end(), "uses blob '", layer.inputs[i], "' in ", layer.described(),
            " before it exists");
    return found->second;
  }
  void out(const Layer& layer, Blob blob) {
    require(!layer.outputs.empty(), "lacks the output of ", layer.described());
    for (const std::string& output : layer.outputs)
      require(blobs_.emplace(output, blob).second, "makes blob '", output, "' twice");
    output_ = blob.value;
  }

  void visit(const Layer& layer) {
    const std::string& type = layer.type;
    if (type == "Input") {
      require(!has_input_, "has more than one input");
      has_input_ = true;
      return out(layer, {graph_.input(), 0});
    }
    if (type == "Convolution") return convolution(layer);
    if (type == "PReLU") return prelu(layer);
    if (type == "Split" || type == "Noop" || type == "Dropout") return out(layer, in(layer));
    if (type == "Concat") return concat(layer);
    if (type == "MemoryData") return constant(layer);
    if (type == "Eltwise" || type == "BinaryOp") return arithmetic(layer);
    if (type == "Interp") return interp(layer);
    const Blob x = in(layer);
    if (type == "Swish" || type == "Sigmoid")
      return out(layer, {graph_.function(type == "Swish" ? "swish" : "sigmoid", x.value), x.channels});
    if (type == "ReLU") {
      relu_slope_ = layer.real(0, 0);
      return out(layer, {graph_.leaky_relu(relu_slope_, x.value), x.channels});
    }
    if (type == "PixelShuffle") {
      const int factor = layer.integer(0, 1);
      require(factor >= 1 && factor <= 16 && layer.integer(1, 0) == 0 && x.channels % (factor * factor) == 0,
              "has an unexpected ", layer.described());
      shuffle_ = factor;
      return out(layer, {graph_.pixel_shuffle(factor, x.value), x.channels / (factor * factor)});
    }
    if ((type == "Reshape" || type == "Permute" || type == "Reorg") && convolutions_.empty() &&
        layer.inputs.size() == 1) {
      // Pixel unshuffle is written as a Reorg, or as a chain of Reshape and Permute with fixed sizes.
      require(type != "Reorg" || layer.integer(1, 0) == 0, "has an unexpected ", layer.described());
      return out(layer, {graph_.unshuffle(graph_.input()), 0});
    }
    require(false, "has the layer ", layer.described(), ", which neither RRDBNet nor Compact nor SPAN has");
  }

  void convolution(const Layer& layer) {
    const int outputs = layer.integer(0, 0), kw = layer.integer(1, 0), kh = layer.integer(11, kw);
    const int pad = layer.integer(4, 0), bytes = layer.integer(6, 0);
    require(layer.integer(8, 0) == 0, "has int8 weights in ", layer.described(), ", expected fp32 or fp16");
    require((kw == 3 || kw == 1) && kh == kw && pad == kw / 2 && layer.integer(15, pad) == pad &&
                layer.integer(14, pad) == pad && layer.integer(16, layer.integer(14, pad)) == pad &&
                layer.integer(2, 1) == 1 && layer.integer(12, 1) == 1 && layer.integer(3, 1) == 1 &&
                layer.integer(13, 1) == 1 && layer.integer(5, 0) == 1 && layer.real(18, 0) == 0 &&
                layer.integer(19, 0) == 0,
            "has ", layer.described(), " that is not 3x3 with padding 1 (or 1x1), stride 1 and bias");
    require(outputs > 0 && outputs <= kMaxChannels && bytes > 0 && bytes % (outputs * kw * kw) == 0, "has ",
            layer.described(), " with ", outputs, " outputs and ", bytes, " weights");
    const int inputs = bytes / (outputs * kw * kw);
    const Blob x = in(layer);
    require(convolutions_.empty() || x.channels == inputs, "has ", layer.described(), " for ", inputs,
            " channels, its input has ", x.channels);
    Parameters p;
    p.weight = take_tagged({outputs, inputs, kw, kw}, layer);
    p.bias = take_raw(outputs, layer);
    Value y = graph_.convolution(int(convolutions_.size()), x.value);
    convolutions_.push_back(std::move(p));
    const auto params = layer.arrays.find(10);
    const int activation = layer.integer(9, 0);
    require(activation >= 0 && activation <= 2 &&
                (activation != 2 || (params != layer.arrays.end() && params->second.size() == 1)),
            "has ", layer.described(), " with an activation other than ReLU or LeakyReLU");
    if (activation) {
      const double slope = activation == 2 ? params->second[0] : 0;
      relu_slope_ = slope;
      y = graph_.leaky_relu(slope, y);
    }
    out(layer, {y, outputs});
  }

  void prelu(const Layer& layer) {
    const Blob x = in(layer);
    const int slopes = layer.integer(0, 0);
    require(slopes > 0 && slopes == x.channels, "has ", slopes, " slopes in ", layer.described(),
            ", its input has ", x.channels, " channels");
    require(prelus_.size() + 1 == convolutions_.size(), "has ", layer.described(),
            " that follows no convolution");
    const Value y = graph_.prelu(int(prelus_.size()), x.value);
    prelus_.push_back(take_raw(slopes, layer));
    out(layer, {y, slopes});
  }

  void concat(const Layer& layer) {
    require(layer.integer(0, 0) == 0 && !layer.inputs.empty(), "has an unexpected ", layer.described());
    std::vector<Value> parts;
    int64_t channels = 0;
    for (size_t i = 0; i < layer.inputs.size(); ++i) {
      const Blob part = in(layer, i);
      parts.push_back(part.value);
      channels += part.channels;
    }
    require(channels <= kMaxChannels, "has ", channels, " channels in ", layer.described());
    out(layer, {graph_.concat(std::move(parts)), int(channels)});
  }

  // The mean of DIV2K: no other constant is in use.
  void constant(const Layer& layer) {
    require(layer.integer(0, 0) == 1 && layer.integer(1, 0) == 1 && layer.integer(2, 0) == 3,
            "has an unexpected ", layer.described());
    float values[3];
    std::memcpy(values, take_raw(3, layer).bytes.data(), sizeof values);
    constexpr double kMean[3] = {0.4488, 0.4371, 0.4040};
    for (int c = 0; c < 3; ++c)
      require(std::fabs(values[c] - kMean[c]) < 1e-4, "has ", values[c], " in ", layer.described(),
              ", expected the mean of channel ", c, ", ", kMean[c]);
    out(layer, {graph_.other("mean", {}), 3});
  }

  // Sums and products of two, or with a constant.
  void arithmetic(const Layer& layer) {
    const Blob x = in(layer);
    const bool eltwise = layer.type == "Eltwise";
    if (!eltwise && layer.integer(1, 0) == 1) {
      const int operation = layer.integer(0, 0);
      const double b = layer.real(2, 0);
      require(operation >= 0 && operation <= 2 && layer.inputs.size() == 1, "has an unexpected ",
              layer.described());
      return out(layer, {operation == 2 ? graph_.scaled(b, x.value)
                                        : graph_.offset(operation == 0 ? b : -b, x.value),
                         x.channels});
    }
    if (!eltwise && layer.integer(0, 0) != 0 && layer.inputs.size() == 2) {
      const Blob y = in(layer, 1);
      require(layer.integer(0, 0) == 2 ? x.channels == y.channels
                                       : layer.integer(0, 0) == 1 && y.value == graph_.other("mean", {}),
              "has an unexpected ", layer.described());
      return out(layer,
                 {layer.integer(0, 0) == 2 ? graph_.product({x.value, y.value}) : graph_.centred(x.value),
                  x.channels});
    }
    require(layer.integer(0, 0) == (eltwise ? 1 : 0) && layer.inputs.size() == 2, "has an unexpected ",
            layer.described());
    const auto coefficients = eltwise ? layer.arrays.find(1) : layer.arrays.end();
    const bool weighted = coefficients != layer.arrays.end();
    require(!weighted || coefficients->second.size() == 2, "has an unexpected ", layer.described());
    std::vector<Value> terms;
    int channels = 0;
    for (size_t i = 0; i < 2; ++i) {
      const Blob term = in(layer, i);
      require(!channels || !term.channels || channels == term.channels, "adds ", channels, " and ",
              term.channels, " channels in ", layer.described());
      channels = std::max(channels, term.channels);
      terms.push_back(graph_.scaled(weighted ? coefficients->second[i] : 1, term.value));
    }
    out(layer, {graph_.sum(std::move(terms)), channels});
  }

  void interp(const Layer& layer) {
    const Blob x = in(layer);
    const double factor = layer.real(1, 1);
    require(layer.inputs.size() == 1 && factor == layer.real(2, 1) && factor > 0 && factor <= 16 &&
                layer.integer(3, 0) == 0 && layer.integer(4, 0) == 0,
            "has ", layer.described(), " with a fixed or unequal size");
    if (layer.integer(0, 0) == 1) {
      ++nearest_;
      return out(layer, {graph_.nearest(factor, x.value), x.channels});
    }
    // Not part of either network: remembered as a resize of the output, which it then has to be.
    require(resize_ == 1, "resizes more than once");
    resize_ = factor;
    out(layer, {graph_.other("resize", {x.value}), x.channels});
  }

  // Whether the file computes this, or a resize of it.
  bool output_is(Value expected) {
    return output_ == (resize_ == 1 ? expected : graph_.other("resize", {expected}));
  }

  bool name_compact(StateDict& weights) {
    const int count = int(convolutions_.size());
    const bool prelu = !prelus_.empty();
    if (count < 2 || !output_is(compact_net(graph_, count, shuffle_, prelu, relu_slope_))) return false;
    const int64_t channels = convolutions_.front().weight.shape[1];
    require(convolutions_.back().weight.shape[0] == channels * shuffle_ * shuffle_, "has ",
            convolutions_.back().weight.shape[0], " channels before a pixel shuffle of ", shuffle_,
            ", expected ", channels * shuffle_ * shuffle_);
    for (int i = 0; i < count; ++i) add(weights, "body." + std::to_string(2 * i), convolutions_[size_t(i)]);
    for (size_t i = 0; i < prelus_.size(); ++i)
      weights.add("body." + std::to_string(2 * i + 1) + ".weight", prelus_[i]);
    weights.metadata["act"] = prelu ? "prelu" : relu_slope_ == 0 ? "relu" : "leakyrelu";
    if (!prelu && relu_slope_ != 0) weights.metadata["act_slope"] = number_text(relu_slope_);
    record_scale(weights, shuffle_);
    return true;
  }

  bool name_span(StateDict& weights) {
    const bool plain = output_is(span_net(graph_, shuffle_, false));
    if (convolutions_.size() != 22 || (!plain && !output_is(span_net(graph_, shuffle_, true)))) return false;
    size_t k = 0;
    const auto next = [&](const std::string& key) { add(weights, key, convolutions_[k++]); };
    next("conv_1.eval_conv");
    for (int block = 1; block <= 6; ++block)
      for (const char* layer : {".c1_r", ".c2_r", ".c3_r"})
        next("block_" + std::to_string(block) + layer + ".eval_conv");
    next("conv_2.eval_conv"), next("conv_cat"), next("upsampler.0");
    if (plain) weights.add_owned("no_norm", {1}, {0});
    return true;
  }

  void name_rrdb(StateDict& weights) {
    const int count = int(convolutions_.size()), ups = nearest_;
    const int blocks = (count - 4 - ups) / 15;
    const bool unshuffled = [&] {
      const int64_t in = convolutions_.front().weight.shape[1], out = convolutions_.back().weight.shape[0];
      return in == 4 * out || in == 16 * out;
    }();
    require(blocks >= 1 && count == 15 * blocks + 4 + ups && prelus_.empty() &&
                output_is(rrdb_net(graph_, blocks, ups, unshuffled)),
            "is neither an RRDBNet nor a Compact network nor SPAN (", count, " convolutions, ",
            prelus_.size(), " PReLU, ", ups, " nearest upsamplings)");
    size_t k = 0;
    add(weights, "conv_first", convolutions_[k++]);
    for (int i = 0; i < blocks; ++i)
      for (int r = 1; r <= 3; ++r)
        for (int j = 1; j <= 5; ++j)
          add(weights, "body." + std::to_string(i) + ".rdb" + std::to_string(r) + ".conv" + std::to_string(j),
              convolutions_[k++]);
    add(weights, "conv_body", convolutions_[k++]);
    for (int i = 1; i <= ups; ++i) add(weights, "conv_up" + std::to_string(i), convolutions_[k++]);
    add(weights, "conv_hr", convolutions_[k++]);
    add(weights, "conv_last", convolutions_[k++]);
    const int64_t in = convolutions_.front().weight.shape[1], out = convolutions_.back().weight.shape[0];
    record_scale(weights, std::ldexp(1.0, ups) / (unshuffled ? std::sqrt(double(in / out)) : 1));
  }

  void record_scale(StateDict& weights, double network_scale) const {
    if (resize_ == 1) return;
    const double scale = network_scale * resize_;
    require(scale >= 1 && scale <= 16 && scale == std::floor(scale), "resizes its x", network_scale,
            " output by ", resize_, ", which is no whole scale");
    weights.metadata["default_scale"] = std::to_string(int(scale));
  }

  static void add(StateDict& weights, const std::string& key, const Parameters& p) {
    weights.add(key + ".weight", p.weight);
    weights.add(key + ".bias", p.bias);
  }

  std::span<const std::byte> bin_;
  const std::string& name_;
  size_t at_ = 0;
  Graph graph_;
  std::map<std::string, Blob> blobs_;
  std::vector<Parameters> convolutions_;
  std::vector<Entry> prelus_;
  bool has_input_ = false;
  Value output_ = -1;  // of the last layer
  int shuffle_ = 1, nearest_ = 0;
  double relu_slope_ = 0, resize_ = 1;
};

}  // namespace

StateDict read_ncnn(std::string_view param, std::span<const std::byte> bin, const std::string& name) {
  return Reader(bin, name).read(param);
}

}  // namespace ups
