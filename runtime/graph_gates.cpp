// Graph building: the operators of kernels/gate_ops.h.
#include <algorithm>

#include "kernels/error.h"
#include "runtime/graph.h"

namespace ups {

void Graph::expect_beside(ValueInfo& x, Value t, int c, const std::string& who) const {
  const ValueInfo& v = info(t, who);
  check(v.c == c, Code::model, who, ": an operand has ", v.c, " channels, expected ", c);
  check(v.num == x.num && v.den == x.den, Code::model, who, ": operands differ in size");
  x.context_px = std::max(x.context_px, v.context_px);
}

Value Graph::affine(Value x, const std::vector<float>& scale, const std::vector<float>& shift) {
  ValueInfo out = like(x, "affine");
  check(out.c <= 4 && int(scale.size()) == out.c && int(shift.size()) == out.c, Code::model, "affine: x has ",
        out.c, " channels, got ", scale.size(), " scales and ", shift.size(),
        " shifts, expected as many, at most 4");
  Affine<Value> op;
  op.x = x;
  for (size_t c = 0; c < scale.size(); c++) op.scale[c] = scale[c], op.shift[c] = shift[c];
  return enter(op, out);
}

Value Graph::gate(Value x, Value g, const GateOptions& o) {
  ValueInfo out = like(x, "gate");
  expect_beside(out, g, info(g, "gate").c == 1 ? 1 : out.c, "gate");
  if (o.add.t) expect_beside(out, o.add.t, out.c, "gate");
  return enter(Gate<Value>{x, g, {}, o.sigmoid, o.mix, o.shift, o.add}, out);
}

Value Graph::channel_attention(Value x, const Scope& squeeze, const Scope& excite,
                               const ChannelAttentionOptions& o) {
  ValueInfo out = like(x, squeeze.path());
  ChannelAttention<Value> op;
  op.w1 = new_weight(squeeze, out.c);
  op.w2 = new_weight(excite, op.w1.cout);
  check(op.w1.k == 1 && op.w2.k == 1 && op.w2.cout == out.c, Code::model, excite.path(), ": got ", op.w2.cout,
        " outputs with kernels ", op.w1.k, " and ", op.w2.k, ", expected ", out.c, " and 1 by 1");
  for (const Weight& w : {op.w1, op.w2}) weight_infos_[w.id].flat = true;
  for (Value t : {o.pool, o.add.t, o.add2.t})
    if (t) expect_beside(out, t, out.c, squeeze.path());
  op.x = x, op.pool = o.pool, op.act = o.act, op.scale = o.scale, op.add = o.add, op.add2 = o.add2;
  return enter(op, out);
}

Value Graph::depthwise_conv2d(Value x, const Scope& w, Act act, Value gate) {
  ValueInfo out = like(x, w.path());
  DepthwiseConv2d<Value> op;
  op.w = new_weight(w, 1);
  check(op.w.cout == out.c, Code::model, w.path(), ": x has ", out.c, " channels, the weight ", op.w.cout);
  op.k = op.w.k;
  op.w.cin = op.k * op.k, op.w.k = 1;
  WeightInfo& flat = weight_infos_[op.w.id];
  flat.cin = op.w.cin, flat.k = 1, flat.flat = true;
  out.context_px += double(op.k / 2) * out.den / out.num;
  if (gate) expect_beside(out, gate, out.c, w.path());
  op.x = x, op.gate = gate, op.act = act;
  return enter(op, out);
}

Value Graph::cross_covariance_attention(Value qkv, const std::string& temperature_key) {
  ValueInfo out = like(qkv, temperature_key);
  const int64_t heads = weights_->at(temperature_key).count();
  check(heads >= 1 && heads <= out.c && out.c % (3 * heads) == 0, Code::model, temperature_key, ": has ",
        heads, " heads, which do not divide the ", out.c, " channels of q, k and v");
  constexpr int kMostChannels = 8192;  // of a head: their products still fit an int
  check(out.c / (3 * heads) <= kMostChannels, Code::model, temperature_key, ": has ", heads, " heads of ",
        out.c / (3 * heads), " channels, expected at most ", kMostChannels, " of each");
  CrossCovarianceAttention<Value> op;
  op.x = qkv;
  op.t = new_weight({temperature_key, "", "", int(heads), 1, 1, true});
  out.c /= 3;
  op.heads = int(heads), op.d = out.c / int(heads);
  return enter(op, out);
}

bool Graph::statistics() const {
  return std::any_of(ops_.begin(), ops_.end(), [](const Op<Value>& op) {
    return std::visit([](const auto& o) { return o.rows().statistics; }, op);
  });
}

}  // namespace ups
