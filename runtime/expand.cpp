// Composite operators taken apart.
#include "runtime/expand.h"

namespace ups {

Expanded expand(const Graph& graph, const Whole& whole) {
  Expanded e;
  e.values = graph.values();
  for (const Op<Value>& op : graph.ops())
    std::visit(
        [&](const auto& o) {
          if constexpr (requires { o.kComposite; }) {
            if (!whole || !whole(op)) {
              const auto room = [&](int c) {
                Graph::ValueInfo info = e.values[o.y.id];
                info.c = c;
                e.values.push_back(info);
                return Value{int(e.values.size()) - 1};
              };
              o.parts(room, [&](const auto& part) { e.ops.push_back(part); });
              return;
            }
          }
          e.ops.push_back(op);
        },
        op);
  return e;
}

}  // namespace ups
