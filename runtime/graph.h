// Graph: a network as a list of operators over symbolic values, checked against the weights as it is built.
//
// Extents are symbolic: a value is lr * num / den pixels on each side, so one graph serves every image size.
// There is no optimiser behind it: what an arch file writes is what runs; shuffled_conv2d() alone computes
// weights of its own. Concatenations cost nothing when the planner can let the producers write into place
// (runtime/plan.h).
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernels/gate_ops.h"
#include "kernels/ops.h"
#include "kernels/sublayer_ops.h"
#include "weights/state_dict.h"

namespace ups {

// A handle to one image-shaped intermediate of a Graph. Default-constructed: absent.
struct Value {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
};

inline Addend<Value> plus(Value t, float scale = 1, int group = 1) { return {t, scale, group}; }

struct ConvOptions {
  Act act = Act::none;
  float slope = 0;    // of Act::lrelu
  std::string prelu;  // full key of the slopes of Act::prelu, e.g. "body.1.weight"
  float scale = 1;
  Addend<Value> add{}, add2{};
  int stride = 1, up = 1, shuffle = 1;
  bool act_last = false, pad_end = false;
  // Shortcut: a value beside the output and its 1x1 weights; goes with act none, shuffle 1 and one addend at
  // most.
  Value shortcut{};
  Scope shortcut_weights{};
};

struct AttentionOptions {
  Extent window{8, 8}, keys{}, shift{};  // keys: {} means the window
  int heads = 1;
  int width = 0, first = 0;  // channels of each of q, k and v attended to, and the first of them; 0: all
  bool cosine = false;
  int pad = 1;
};

template <class T>
using Op =
    std::variant<Conv2d<T>, PixelUnshuffle<T>, Copy<T>, Upsample<T>, LayerNorm<T>, WindowAttention<T>,
                 Affine<T>, Gate<T>, ChannelAttention<T>, DepthwiseConv2d<T>, GroupStats<T>, GroupNorm<T>,
                 Attention<T>, CrossCovarianceAttention<T>, AttentionSublayer<T>, MlpSublayer<T>>;

// Weights of an attention sublayer by name; `bias` and `scale` as for window_attention.
struct AttentionWeights {
  Scope norm, qkv, proj;
  std::string bias, scale;
};

struct GateOptions {
  bool sigmoid = true;
  float mix = 0, shift = 0;
  Addend<Value> add{};
};

struct ChannelAttentionOptions {
  Value pool{};  // whose mean decides; absent: x
  Act act = Act::relu;
  float scale = 1;
  Addend<Value> add{}, add2{};
};

// What a graph that only shrinks does with LR sides that its strides do not divide.
enum class Rounding : uint8_t {
  exact,  // there are none: such sizes are refused
  down,   // each value has floor(lr * num / den) pixels
  up      // ceil
};

class Graph {
 public:
  explicit Graph(std::shared_ptr<const StateDict> weights) : weights_(std::move(weights)) {}

  // The low-resolution image. Exactly one per graph.
  Value input(int channels);
  // Convolution with `w.weight` [cout, cin, k, k] and, when present, `w.bias` [cout] (kernels/ops.h).
  // Throws Error{Code::model} naming the key when it is missing or its shape contradicts x.
  Value conv2d(Value x, const Scope& w, const ConvOptions& options = {});
  // scale * (conv2d of `last` behind conv2d of `first` with a pixel shuffle by r): the end of networks that
  // upsample last. Most of the second moves into the first where collapse() allows and less work is left.
  Value shuffled_conv2d(Value x, const Scope& first, int r, const Scope& last, float scale = 1);
  // Channels of all parts, in order. Parts have equal extents.
  Value concat(const std::vector<Value>& parts);
  Value pixel_unshuffle(Value x, int r);
  Value upsample(Value x, int up, bool cubic = false);  // cubic or nearest
  // Fully connected layer on every pixel: conv2d with `w.weight` [cout, cin].
  Value linear(Value x, const Scope& w, const ConvOptions& options = {});
  // Over the channels of each pixel, with `w.weight` and `w.bias` [c]; `add` is added to the result.
  Value layer_norm(Value x, const Scope& w, Value add = {});
  // Attention of qkv = q | k | v; `bias_key` [heads, window.h + keys.h - 1, window.w + keys.w - 1] in the
  // order of kernels/ops.h, `scale_key` [heads] for cosine attention (otherwise logits are divided by
  // sqrt(d)).
  Value window_attention(Value qkv, const std::string& bias_key, const std::string& scale_key,
                         const AttentionOptions& options);
  // The halves of a transformer layer (kernels/sublayer_ops.h). `residual` absent: x.
  Value attention_sublayer(Value x, NormAt norm_at, const AttentionWeights& w,
                           const AttentionOptions& options, Value residual = {});
  Value mlp_sublayer(Value x, NormAt norm_at, const Scope& norm, const Scope& fc1, const Scope& fc2,
                     Addend<Value> add = {});
  // Operators of kernels/gate_ops.h. Weights as convolutions have them; those of the channel attention are
  // [r, c, 1, 1] and [c, r, 1, 1], of the depthwise convolution [c, 1, k, k].
  Value affine(Value x, const std::vector<float>& scale, const std::vector<float>& shift);
  Value gate(Value x, Value g, const GateOptions& options = {});
  Value channel_attention(Value x, const Scope& squeeze, const Scope& excite,
                          const ChannelAttentionOptions& options = {});
  // Heads from `temperature_key` [heads, ..]; qkv = q | k | v.
  Value cross_covariance_attention(Value qkv, const std::string& temperature_key);
  Value depthwise_conv2d(Value x, const Scope& w, Act act = Act::none, Value gate = {});
  // Group normalisation with gamma `w.weight` and beta `w.bias`, over the whole image (kernels/ops.h).
  Value group_norm(Value x, const Scope& w, int groups, float eps, Act act);
  // One head over all pixels.
  Value attention(Value q, Value k, Value v, float scale);
  void set_rounding(Rounding r) { rounding_ = r; }
  // Before the network is built: linear operators may be computed in another order than the file's.
  void collapse() { collapses_ = true; }
  void output(Value y);

  int channels(Value v) const { return values_.at(v.id).c; }

  // What the planner and the backends read.
  struct ValueInfo {
    int c = 0;
    int num = 1, den = 1;      // extent = lr * num / den, in lowest terms
    bool once = false;         // one f32 pixel instead, whatever the size of the image: statistics
    double context_px = 0;     // radius of the receptive field, LR pixels
    std::vector<Value> parts;  // of a concat; empty otherwise
  };
  struct WeightInfo {
    std::string weight_key, bias_key, slope_key;  // "" when absent
    int cout, k, cin;
    bool flat = false;      // not of a convolution: f32 [cout, cin] as in the file, in every precision
    bool computed = false;  // from weights that the graph does not use themselves
    int64_t parameters() const { return int64_t(cout) * k * k * cin + (bias_key.empty() ? 0 : cout); }
  };
  const std::vector<ValueInfo>& values() const { return values_; }
  const std::vector<WeightInfo>& weight_infos() const { return weight_infos_; }
  const std::vector<Op<Value>>& ops() const { return ops_; }
  const StateDict& weights() const { return *weights_; }
  std::shared_ptr<const StateDict> file() const { return weights_; }  // null once released
  Rounding rounding() const { return rounding_; }
  Value input_value() const { return input_; }
  Value output_value() const { return output_; }

  // Multiply-adds times two, per LR pixel.
  double flop_per_px() const;
  // Learned numbers used by the graph, or by what it computes its weights from.
  int64_t parameters() const;
  // Drops the weight file; only shapes remain.
  void release_weights() { weights_.reset(); }
  // Radius of the output's receptive field in LR pixels: a tile that sees this much context is exact.
  int context_px() const;
  // Whether an operator takes statistics over all pixels: then tiles differ from the whole image.
  bool statistics() const;

 private:
  Value convolve(Value x, const Scope& w, const ConvOptions& options, bool linear);
  // A convolution's weights `w.weight` [cout, cin, k, k], linear: [cout, cin], and `w.bias`, checked and
  // entered.
  Weight new_weight(const Scope& w, int cin, bool linear = false);
  Weight norm_weight(const Scope& w, int c);
  // Checks what window_attention demands of its weights and fills in the operator but for x and y. `reach`:
  // pixels to the farthest key of a window.
  WindowAttention<Value> attention_op(int c, const std::string& bias_key, const std::string& scale_key,
                                      const AttentionOptions& options, int& reach);
  // Checks that t is as large as x and has `c` channels, and takes its context over.
  void expect_beside(ValueInfo& x, Value t, int c, const std::string& who) const;
  Value new_value(ValueInfo info);
  Weight new_weight(const WeightInfo& info);
  const ValueInfo& info(Value v, const std::string& who) const;
  // That of a result as large as v, with as many channels.
  ValueInfo like(Value v, const std::string& who) const;
  // Enters an operator that makes a new value.
  template <class Operator>
  Value enter(Operator op, const ValueInfo& y) {
    op.y = new_value(y);
    ops_.push_back(op);
    return op.y;
  }

  std::shared_ptr<const StateDict> weights_;
  std::vector<ValueInfo> values_;
  std::vector<WeightInfo> weight_infos_;
  std::vector<Op<Value>> ops_;
  Value input_, output_;
  Rounding rounding_ = Rounding::exact;
  bool collapses_ = false;
  int64_t collapsed_parameters_ = 0;  // what computed weights stand for
};

}  // namespace ups
