// Graph operators that depend on every pixel: group normalisation and attention over the whole image.
#include "kernels/error.h"
#include "runtime/graph.h"

namespace ups {
namespace {

constexpr double kWholeImage = 1 << 24;  // a receptive field larger than any image

}  // namespace

Value Graph::group_norm(Value x, const Scope& w, int groups, float eps, Act act) {
  const std::string who = w.path(), gamma = who + ".weight", beta = who + ".bias";
  ValueInfo out = info(x, who.c_str());
  out.parts.clear();
  check(groups >= 1 && out.c % groups == 0, Code::model, who, ": ", out.c,
        " channels cannot be normalised in ", groups, " groups");
  for (const std::string& key : {gamma, beta})
    check(weights_->at(key).count() == out.c, Code::model, key, ": has ", weights_->at(key).count(),
          " values, expected ", out.c);
  ValueInfo sums;
  sums.c = 4 * groups, sums.once = true;
  const GroupStats<Value> stats{x, new_value(sums), groups};
  ops_.push_back(stats);
  out.context_px = kWholeImage;
  GroupNorm<Value> op{x, stats.y, new_value(out), {}, groups, eps, act};
  op.w = new_weight({gamma, beta, "", out.c, 1, 1, true});
  ops_.push_back(op);
  return op.y;
}

Value Graph::attention(Value q, Value k, Value v, float scale) {
  const ValueInfo a = info(q, "attention"), b = info(k, "attention");
  ValueInfo out = info(v, "attention");
  for (const ValueInfo& i : {b, out})
    check(i.num == a.num && i.den == a.den, Code::model, "attention: q, k and v differ in size");
  check(a.c == b.c, Code::model, "attention: q has ", a.c, " channels, k ", b.c);
  out.parts.clear();
  out.context_px = kWholeImage;
  const Attention<Value> op{q, k, v, new_value(out), scale};
  ops_.push_back(op);
  return op.y;
}

}  // namespace ups
