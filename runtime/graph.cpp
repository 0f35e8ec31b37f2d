// Graph building: shape arithmetic and the checks that name the offending key.
#include "runtime/graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

namespace {

void reduce(Graph::ValueInfo& v) {
  const int g = std::gcd(v.num, v.den);
  v.num /= g, v.den /= g;
}

}  // namespace

Value Graph::new_value(ValueInfo info) {
  reduce(info);
  values_.push_back(std::move(info));
  return {int(values_.size()) - 1};
}

const Graph::ValueInfo& Graph::info(Value v, const std::string& who) const {
  check(v.id >= 0 && v.id < int(values_.size()), Code::model, who, ": operand is not a value of this graph");
  return values_[v.id];
}

Graph::ValueInfo Graph::like(Value v, const std::string& who) const {
  ValueInfo out = info(v, who);
  out.parts.clear();
  return out;
}

Value Graph::input(int channels) {
  check(!input_, Code::model, "graph: a second input");
  ValueInfo info;
  info.c = channels;
  return input_ = new_value(info);
}

Weight Graph::new_weight(const WeightInfo& info) {
  weight_infos_.push_back(info);
  Weight w;
  w.id = int(weight_infos_.size()) - 1;
  w.cout = info.cout, w.k = info.k, w.cin = info.cin;
  return w;
}

Weight Graph::new_weight(const Scope& w, int cin, bool linear) {
  const std::string who = w.path(), weight_key = who + ".weight", bias_key = who + ".bias";
  const Entry& entry = weights_->at(weight_key);
  check(linear ? entry.shape.size() == 2 : entry.shape.size() == 4 && entry.shape[2] == entry.shape[3],
        Code::model, who, ": weight has shape ", shape_text(entry.shape), ", expected ",
        linear ? "[out, in]" : "[out, in, k, k]");
  check(entry.shape[1] == cin, Code::model, who, ": x has ", cin, " channels, weight expects ",
        entry.shape[1]);
  const int64_t cout = entry.shape[0], k = linear ? 1 : entry.shape[2];
  check(cout > 0 && cout <= 65536 && (k == 1 || k == 3 || k == 5), Code::model, who, ": weight has shape ",
        shape_text(entry.shape), ", expected kernel 1, 3 or 5 and at most 65536 outputs");
  WeightInfo weight{weight_key, "", "", int(cout), int(k), cin};
  if (const Entry* bias = weights_->find(bias_key)) {
    check(bias->count() == cout, Code::model, bias_key, ": has ", bias->count(), " values, expected ", cout);
    weight.bias_key = bias_key;
  }
  return new_weight(weight);
}

Value Graph::conv2d(Value x, const Scope& w, const ConvOptions& o) { return convolve(x, w, o, false); }

Value Graph::linear(Value x, const Scope& w, const ConvOptions& o) { return convolve(x, w, o, true); }

Value Graph::convolve(Value x, const Scope& w, const ConvOptions& o, bool linear) {
  const std::string who = w.path();
  const ValueInfo in = info(x, who);
  Conv2d<Value> op;
  op.x = x;
  op.w = new_weight(w, in.c, linear);
  const int cout = op.w.cout, k = op.w.k;
  if (o.act == Act::prelu) {
    const int64_t slopes = weights_->at(o.prelu).count();
    check(slopes == cout || slopes == 1, Code::model, o.prelu, ": has ", slopes, " slopes, expected ", cout);
    weight_infos_.back().slope_key = o.prelu;
  }
  op.act = o.act, op.slope = o.slope, op.scale = o.scale;
  op.add = o.add, op.add2 = o.add2;
  op.stride = o.stride, op.up = o.up, op.shuffle = o.shuffle;
  op.act_last = o.act_last, op.pad_end = o.pad_end;
  if (o.shortcut) {
    check(o.act == Act::none && o.shuffle == 1 && (!o.add.t || !o.add2.t), Code::model, who,
          ": a shortcut beside an activation, a shuffle or two addends");
    op.shortcut = {o.shortcut, new_weight(o.shortcut_weights, info(o.shortcut, who).c)};
    check(op.shortcut.w.k == 1 && op.shortcut.w.cout == cout, Code::model, o.shortcut_weights.path(),
          ": weight has kernel ", op.shortcut.w.k, " and ", op.shortcut.w.cout, " outputs, expected 1 and ",
          cout);
  }
  const int r = o.shuffle;
  check(cout % (r * r) == 0, Code::model, who, ": ", cout, " channels cannot be shuffled by ", r);

  ValueInfo grid = like(x, who);  // where the convolution and the addends live, before the shuffle
  grid.c = cout;
  grid.context_px += double(o.pad_end ? k - 1 : k / 2) * in.den / (double(in.num) * o.up);
  grid.num *= o.up, grid.den *= o.stride;
  reduce(grid);
  for (const Addend<Value>* a : {&o.add, &o.add2}) {
    if (!a->t) continue;
    const ValueInfo& t = info(a->t, who);
    check(int64_t(t.c) * a->group == cout, Code::model, who, ": addend has ", t.c, " channels, expected ",
          cout / a->group);
    check(t.num == grid.num && t.den == grid.den, Code::model, who, ": addend and output differ in size");
    grid.context_px = std::max(grid.context_px, t.context_px);
  }
  if (o.shortcut) {
    const ValueInfo& t = info(o.shortcut, who);
    check(t.num == grid.num && t.den == grid.den, Code::model, who, ": shortcut and output differ in size");
    grid.context_px = std::max(grid.context_px, t.context_px);
  }
  grid.c /= r * r;
  grid.num *= r;
  return enter(op, grid);
}

Value Graph::concat(const std::vector<Value>& parts) {
  check(!parts.empty(), Code::model, "concat: no parts");
  if (parts.size() == 1) return parts[0];
  ValueInfo out = info(parts[0], "concat");
  out.c = 0;
  out.parts = parts;
  for (Value p : parts) {
    const ValueInfo& v = info(p, "concat");
    check(v.num == out.num && v.den == out.den, Code::model, "concat: parts differ in size");
    check(v.parts.empty(), Code::model, "concat: a part is itself a concat (list its parts instead)");
    out.c += v.c;
    out.context_px = std::max(out.context_px, v.context_px);
  }
  return new_value(out);
}

Value Graph::pixel_unshuffle(Value x, int r) {
  ValueInfo out = like(x, "pixel_unshuffle");
  check(r >= 1, Code::model, "pixel_unshuffle: r is ", r, ", expected at least 1");
  out.context_px += double(r - 1) * out.den / out.num;
  out.c *= r * r;
  out.den *= r;
  return enter(PixelUnshuffle<Value>{x, {}, r}, out);
}

Value Graph::upsample(Value x, int up, bool cubic) {
  ValueInfo out = like(x, "upsample");
  check(up >= 1, Code::model, "upsample: factor is ", up, ", expected at least 1");
  out.num *= up;
  if (cubic) out.context_px += 2.0 * out.den / (double(out.num) / up);
  return enter(Upsample<Value>{x, {}, up, cubic}, out);
}

void Graph::output(Value y) {
  info(y, "output");
  check(values_[y.id].parts.empty() && y.id != input_.id, Code::model,
        "output: must be the result of an operator");
  output_ = y;
}

double Graph::flop_per_px() const {
  double flop = 0;
  for (const Op<Value>& op : ops_)
    std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.flop(); }) {
            const ValueInfo& y = values_[o.y.id];
            const double side = double(y.num) / y.den / o.rows().shuffle;
            flop += o.flop() * side * side;
          }
        },
        op);
  return flop;
}

int64_t Graph::parameters() const {
  int64_t n = collapsed_parameters_;
  for (const WeightInfo& w : weight_infos_) {
    if (w.computed) continue;
    n += w.parameters();
    if (!w.slope_key.empty()) n += weights_->at(w.slope_key).count();
  }
  return n;
}

int Graph::context_px() const { return output_ ? int(std::ceil(values_[output_.id].context_px - 1e-9)) : 0; }

}  // namespace ups
