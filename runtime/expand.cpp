// Composite operators taken apart.
#include "runtime/expand.h"

namespace ups {
namespace {

template <class Operator>
bool is_composite(const Operator&) {
  return requires { Operator::kComposite; };
}
bool is_composite(const Conv2d<Value>& op) { return op.shortcut.present(); }

}  // namespace

Expanded expand(const Graph& graph, const Whole& whole) {
  Expanded e;
  e.values = graph.values();
  for (const Op<Value>& op : graph.ops())
    std::visit(
        [&](const auto& o) {
          const auto room = [&](int c) {
            Graph::ValueInfo info = e.values[o.y.id];
            info.c = c;
            e.values.push_back(info);
            return Value{int(e.values.size()) - 1};
          };
          const auto emit = [&](const auto& part) { e.ops.push_back(part); };
          if constexpr (requires { o.parts(room, emit); }) {
            if (is_composite(o) && (!whole || !whole(op))) return o.parts(room, emit);
          }
          e.ops.push_back(op);
        },
        op);
  return e;
}

}  // namespace ups
