// Graph building: the operators of transformers.
#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "runtime/graph.h"

namespace ups {

Value Graph::layer_norm(Value x, const Scope& w, Value add) {
  const std::string who = w.path(), weight_key = who + ".weight", bias_key = who + ".bias";
  ValueInfo out = info(x, who.c_str());
  for (const std::string& key : {weight_key, bias_key})
    check(weights_->at(key).count() == out.c, Code::model, key, ": has ", weights_->at(key).count(),
          " values, expected ", out.c);
  out.parts.clear();
  if (add) {
    const ValueInfo& a = info(add, who.c_str());
    check(a.c == out.c && a.num == out.num && a.den == out.den, Code::model, who,
          ": x and addend differ in size");
    out.context_px = std::max(out.context_px, a.context_px);
  }
  LayerNorm<Value> op;
  op.x = x, op.add = add;
  op.w = new_weight({weight_key, bias_key, "", out.c, 1, 1, true});
  op.y = new_value(out);
  ops_.push_back(op);
  return op.y;
}

Value Graph::window_attention(Value qkv, const std::string& bias_key, const std::string& scale_key,
                              const AttentionOptions& o) {
  const char* who = bias_key.c_str();
  ValueInfo out = info(qkv, who);
  const Extent keys = o.keys.h > 0 ? o.keys : o.window;
  const int width = o.width > 0 ? o.width : out.c / 3;
  check(
      out.c % 3 == 0 && o.first >= 0 && o.heads >= 1 && width % o.heads == 0 && o.first + width <= out.c / 3,
      Code::model, who, ": attention of ", o.heads, " heads over ", width, " channels from ", o.first,
      " does not fit ", out.c, " channels of q, k and v");
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
  op.x = qkv;
  op.bias = new_weight({bias_key, o.cosine ? scale_key : "", "", o.heads, 1, int(places), true});
  op.window = o.window, op.keys = keys, op.shift = o.shift;
  op.heads = o.heads, op.d = width / o.heads, op.first = o.first;
  op.scale = 1 / std::sqrt(float(op.d));
  op.cosine = o.cosine;
  op.pad = o.pad;
  // A window's farthest key; which of them it is depends on where the pixel lies.
  const int reach =
      std::max(o.window.h + (keys.h - o.window.h) / 2, o.window.w + (keys.w - o.window.w) / 2) - 1;
  out.parts.clear();
  out.context_px += double(reach) * out.den / out.num;
  out.c = width;
  op.y = new_value(out);
  ops_.push_back(op);
  return op.y;
}

}  // namespace ups
