// Graph operators that depend on every pixel: group normalisation and attention over the whole image.
#include "kernels/error.h"
#include "runtime/graph.h"

namespace ups {
namespace {

constexpr double kWholeImage = 1 << 24;  // a receptive field larger than any image

}  // namespace

Value Graph::group_norm(Value x, const Scope& w, int groups, float eps, Act act) {
  const std::string who = w.path();
  ValueInfo out = like(x, who);
  check(groups >= 1 && out.c % groups == 0, Code::model, who, ": ", out.c,
        " channels cannot be normalised in ", groups, " groups");
  const Weight weight = norm_weight(w, out.c);
  ValueInfo sums;
  sums.c = 4 * groups, sums.once = true;
  const Value stats = enter(GroupStats<Value>{x, {}, groups}, sums);
  out.context_px = kWholeImage;
  return enter(GroupNorm<Value>{x, stats, {}, weight, groups, eps, act}, out);
}

Value Graph::attention(Value q, Value k, Value v, float scale) {
  const ValueInfo a = info(q, "attention"), b = info(k, "attention");
  ValueInfo out = like(v, "attention");
  for (const ValueInfo& i : {b, out})
    check(i.num == a.num && i.den == a.den, Code::model, "attention: q, k and v differ in size");
  check(a.c == b.c, Code::model, "attention: q has ", a.c, " channels, k ", b.c);
  out.context_px = kWholeImage;
  return enter(Attention<Value>{q, k, v, {}, scale}, out);
}

}  // namespace ups
