// Graph building: the operators of transformers.
#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "runtime/graph.h"

namespace ups {

Weight Graph::norm_weight(const Scope& w, int c) {
  const std::string weight_key = w.path() + ".weight", bias_key = w.path() + ".bias";
  for (const std::string& key : {weight_key, bias_key})
    check(weights_->at(key).count() == c, Code::model, key, ": has ", weights_->at(key).count(),
          " values, expected ", c);
  return new_weight({weight_key, bias_key, "", c, 1, 1, true});
}

Value Graph::layer_norm(Value x, const Scope& w, Value add) {
  const std::string who = w.path();
  ValueInfo out = like(x, who);
  LayerNorm<Value> op;
  op.w = norm_weight(w, out.c);
  if (add) expect_beside(out, add, out.c, who);
  op.x = x, op.add = add;
  return enter(op, out);
}

WindowAttention<Value> Graph::attention_op(int c, const std::string& bias_key, const std::string& scale_key,
                                           const AttentionOptions& o, int& reach) {
  const std::string& who = bias_key;
  const Extent keys = o.keys.h > 0 ? o.keys : o.window;
  const int width = o.width > 0 ? o.width : c / 3;
  check(c % 3 == 0 && o.first >= 0 && o.heads >= 1 && width % o.heads == 0 && o.first + width <= c / 3,
        Code::model, who, ": attention of ", o.heads, " heads over ", width, " channels from ", o.first,
        " does not fit ", c, " channels of q, k and v");
  const bool centred = keys.h >= o.window.h && keys.w >= o.window.w && (keys.h - o.window.h) % 2 == 0 &&
                       (keys.w - o.window.w) % 2 == 0;
  const bool shifted = o.shift.h != 0 || o.shift.w != 0;
  check(o.window.h >= 1 && o.window.w >= 1 && centred && (keys == o.window || !shifted) && o.shift.h >= 0 &&
            o.shift.w >= 0 && o.shift.h < o.window.h && o.shift.w < o.window.w && keys.h <= 1024 &&
            keys.w <= 1024,
        Code::model, who, ": cannot attend from windows of ", o.window.w, "x", o.window.h, " shifted by ",
        o.shift.w, "x", o.shift.h, " to keys of ", keys.w, "x", keys.h);
  check(o.pad == 1 || (o.pad >= 1 && o.pad % o.window.h == 0 && o.pad % o.window.w == 0), Code::model, who,
        ": windows of ", o.window.w, "x", o.window.h, " do not divide the padding to ", o.pad);
  const int64_t places = int64_t(o.window.h + keys.h - 1) * (o.window.w + keys.w - 1);
  check(weights_->at(bias_key).count() == o.heads * places, Code::model, who, ": has ",
        weights_->at(bias_key).count(), " values, expected ", o.heads, " x ", places);
  if (o.cosine)
    check(weights_->at(scale_key).count() == o.heads, Code::model, scale_key, ": has ",
          weights_->at(scale_key).count(), " values, expected ", o.heads);

  WindowAttention<Value> op;
  op.bias = new_weight({bias_key, o.cosine ? scale_key : "", "", o.heads, 1, int(places), true});
  op.window = o.window, op.keys = keys, op.shift = o.shift;
  op.heads = o.heads, op.d = width / o.heads, op.first = o.first;
  op.scale = 1 / std::sqrt(float(op.d));
  op.cosine = o.cosine;
  op.pad = o.pad;
  // Which key is the farthest depends on where the pixel lies.
  reach = std::max(o.window.h + (keys.h - o.window.h) / 2, o.window.w + (keys.w - o.window.w) / 2) - 1;
  return op;
}

Value Graph::window_attention(Value qkv, const std::string& bias_key, const std::string& scale_key,
                              const AttentionOptions& o) {
  ValueInfo out = like(qkv, bias_key);
  int reach = 0;
  WindowAttention<Value> op = attention_op(out.c, bias_key, scale_key, o, reach);
  out.context_px += double(reach) * out.den / out.num;
  out.c = op.heads * op.d;
  op.x = qkv;
  return enter(op, out);
}

Value Graph::attention_sublayer(Value x, NormAt norm_at, const AttentionWeights& w, const AttentionOptions& o,
                                Value residual) {
  const std::string who = w.qkv.path();
  ValueInfo out = like(x, who);
  AttentionSublayer<Value> op;
  op.x = x, op.residual = residual ? residual : x;
  op.norm_at = norm_at;
  if (norm_at != NormAt::none) op.norm = norm_weight(w.norm, out.c);
  op.qkv = new_weight(w.qkv, out.c, true);
  int reach = 0;
  check(o.width == 0 && o.first == 0 && o.pad == 1, Code::model, who,
        ": attention of a sublayer is over all channels and without padding");
  const WindowAttention<Value> attention = attention_op(op.qkv.cout, w.bias, w.scale, o, reach);
  op.bias = attention.bias;
  op.window = attention.window, op.keys = attention.keys, op.shift = attention.shift;
  op.heads = attention.heads, op.d = attention.d;
  op.scale = attention.scale, op.cosine = attention.cosine;
  op.proj = new_weight(w.proj, op.heads * op.d, true);
  check(op.proj.cout == out.c, Code::model, w.proj.path(), ": has ", op.proj.cout, " outputs, expected ",
        out.c);
  out.context_px += double(reach) * out.den / out.num;
  expect_beside(out, op.residual, out.c, who);
  return enter(op, out);
}

Value Graph::mlp_sublayer(Value x, NormAt norm_at, const Scope& norm, const Scope& fc1, const Scope& fc2,
                          Addend<Value> add) {
  const std::string who = fc1.path();
  ValueInfo out = like(x, who);
  MlpSublayer<Value> op;
  op.x = x, op.norm_at = norm_at, op.add = add;
  check(norm_at != NormAt::after || !add.t, Code::model, who, ": no addend beside a norm behind the MLP");
  if (norm_at != NormAt::none) op.norm = norm_weight(norm, out.c);
  op.fc1 = new_weight(fc1, out.c, true);
  op.fc2 = new_weight(fc2, op.fc1.cout, true);
  check(op.fc2.cout == out.c && add.group == 1, Code::model, fc2.path(), ": has ", op.fc2.cout,
        " outputs, expected ", out.c);
  if (add.t) expect_beside(out, add.t, out.c, who);
  return enter(op, out);
}

}  // namespace ups
