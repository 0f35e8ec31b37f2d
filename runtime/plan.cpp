// Resolves a placement at one extent: arena offsets, strips, final kernel calls.
#include "runtime/plan.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <numeric>

#include "kernels/error.h"
#include "runtime/placement.h"
#include "runtime/strips.h"

namespace ups {

namespace {

constexpr size_t kAlign = 64;  // a cache line and the widest vector

size_t checked_product(size_t a, size_t b) {
  size_t r;
  check(!__builtin_mul_overflow(a, b, &r) && r < size_t(PTRDIFF_MAX) / 4, Code::memory,
        "planner: the image needs more memory than this machine can address (use smaller tiles)");
  return r;
}

size_t buffer_bytes(const Placement::Buffer& b, Extent lr, int window_rows, DType dtype) {
  const size_t h = window_rows ? size_t(window_rows) : size_t(lr.h) * b.num / b.den;
  const size_t w = size_t(lr.w) * b.num / b.den;
  return (checked_product(checked_product(h, w), size_t(b.c) * dtype_bytes(dtype)) + kAlign - 1) / kAlign *
         kAlign;
}

// First-fit offsets, largest buffer first; buffers whose lifetimes are disjoint may share bytes.
size_t pack(std::vector<Plan::Buffer>& buffers) {
  std::vector<int> order(buffers.size()), placed;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return buffers[a].bytes > buffers[b].bytes; });
  size_t total = 0;
  for (int i : order) {
    auto& b = buffers[i];
    size_t at = 0;
    for (int j : placed) {  // kept sorted by offset
      const auto& o = buffers[j];
      const bool alive_together = o.first_op <= b.last_op && b.first_op <= o.last_op;
      if (alive_together && o.offset < at + b.bytes && at < o.offset + o.bytes) at = o.offset + o.bytes;
    }
    b.offset = at;
    total = std::max(total, at + b.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](int x, int y) { return buffers[x].offset < buffers[y].offset; }),
                  i);
  }
  return total;
}

struct Layout {
  int strip_first_op = -1;
  StripSchedule strips;
  std::vector<Plan::Buffer> buffers;
  size_t arena_bytes = 0;
};

Layout lay_out(const Graph& graph, const Placement& p, Extent lr, DType dtype, int first_op, int lr_rows) {
  Layout l;
  if (first_op >= 0) {
    l.strips = schedule_strips(graph, p, lr, first_op, lr_rows);
    if (l.strips.strips.size() < 2) return {};
    l.strip_first_op = first_op;
  }
  for (size_t i = 0; i < p.buffers.size(); i++) {
    const auto& b = p.buffers[i];
    const int rows = first_op >= 0 ? l.strips.window_rows[i] : 0;
    Plan::Buffer out{0, buffer_bytes(b, lr, rows, dtype), b.first_op, b.last_op};
    // Within the strips all operators are alive together: lifetimes stretch over the whole suffix.
    if (first_op >= 0 && out.last_op >= first_op) {
      out.last_op = std::max(out.last_op, int(p.ops.size()));
      if (out.first_op >= first_op) out.first_op = first_op;
    }
    l.buffers.push_back(out);
  }
  l.arena_bytes = pack(l.buffers);
  return l;
}

// Tries the last operators as strips, from each possible start, and keeps the smallest arena.
Layout best_layout(const Graph& graph, const Placement& p, Extent lr, const PlanOptions& o) {
  Layout best = lay_out(graph, p, lr, o.dtype, -1, 0);
  if (!o.strip_bytes) return best;
  constexpr int kMostStripOps = 24;  // a longer suffix never paid: windows of deep chains grow past the trunk
  const int n = int(p.ops.size());
  size_t row_bytes = 0;  // of all windowed intermediates, per LR row
  for (int first = n - 1; first >= std::max(0, n - kMostStripOps); first--) {
    for (const auto& b : p.buffers)
      if (b.first_op == first)
        row_bytes += size_t(b.c) * dtype_bytes(o.dtype) * lr.w * b.num / b.den * b.num / b.den;
    const int rows =
        int(std::clamp<size_t>(o.strip_bytes / std::max<size_t>(1, row_bytes), 4, size_t(INT_MAX / 64)));
    if (rows >= lr.h) continue;
    Layout l = lay_out(graph, p, lr, o.dtype, first, rows);
    if (l.strip_first_op >= 0 && l.arena_bytes < best.arena_bytes) best = std::move(l);
  }
  return best;
}

struct Resolver {
  const Placement& p;
  const Layout& layout;
  Extent lr;
  DType dtype;
  std::vector<int> base_row;  // by buffer: image row its memory starts with

  Tensor tensor(Value v, int c) const {
    if (!v) return {};
    const auto& loc = p.locations[v.id];
    const auto& b = p.buffers[loc.buffer];
    Tensor t;
    t.dtype = dtype;
    t.h = int(int64_t(lr.h) * b.num / b.den), t.w = int(int64_t(lr.w) * b.num / b.den), t.c = c;
    t.px = b.c, t.row = int64_t(t.w) * b.c, t.image = t.row * t.h;
    // Row 0 of a window may lie before the buffer; only rows that exist are ever touched.
    const int64_t at = int64_t(layout.buffers[loc.buffer].offset) +
                       (loc.offset - int64_t(base_row[loc.buffer]) * t.row) * dtype_bytes(dtype);
    t.data = reinterpret_cast<void*>(intptr_t(at));
    return t;
  }
};

Op<Tensor> resolve(const Op<Value>& op, const Resolver& r, const std::vector<int>& channels) {
  auto t = [&](Value v) { return r.tensor(v, v ? channels[v.id] : 0); };
  return std::visit([&](const auto& o) -> Op<Tensor> { return o.template map<Tensor>(t); }, op);
}

// The extent an operator's output has before its pixel shuffle.
Extent grid_extent(const Op<Tensor>& op) {
  return std::visit(
      [](const auto& o) {
        const int r = o.rows().shuffle;
        return Extent{o.y.h / r, o.y.w / r};
      },
      op);
}

double step_flop(const Op<Tensor>& op, int rows) {
  return std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.flop(); })
          return o.flop() * grid_extent(op).w * rows;
        else
          return 0.0;
      },
      op);
}

}  // namespace

Plan make_plan(const Graph& graph, Extent lr, const PlanOptions& options) {
  check(bool(graph.input_value()) && bool(graph.output_value()), Code::model,
        "planner: the graph has no output");
  check(lr.h > 0 && lr.w > 0, Code::usage, "planner: tile is ", lr.w, "x", lr.h, ", expected at least 1x1");
  for (const auto& v : graph.values())
    check(lr.h % v.den == 0 && lr.w % v.den == 0, Code::usage, "planner: tile is ", lr.w, "x", lr.h,
          ", expected multiples of ", v.den);

  const Placement p = place_values(graph);
  const Layout layout = best_layout(graph, p, lr, options);
  std::vector<int> channels;
  for (const auto& v : graph.values()) channels.push_back(v.c);
  for (size_t id = channels.size(); id < p.locations.size(); id++) channels.push_back(0);
  for (const auto& op : p.ops)
    if (const auto* copy = std::get_if<Copy<Value>>(&op)) channels[copy->y.id] = channels[copy->x.id];

  Plan plan;
  plan.lr = lr;
  plan.arena_bytes = layout.arena_bytes;
  plan.buffers = layout.buffers;
  plan.concat_copies = p.copies;
  plan.strip_first_op = layout.strip_first_op;
  Resolver r{p, layout, lr, options.dtype, std::vector<int>(p.buffers.size(), 0)};
  plan.x = r.tensor(graph.input_value(), channels[graph.input_value().id]);
  plan.y = r.tensor(graph.output_value(), channels[graph.output_value().id]);
  plan.hr = plan.y.extent();

  const int whole = layout.strip_first_op < 0 ? int(p.ops.size()) : layout.strip_first_op;
  for (int i = 0; i < whole; i++) {
    PlanStep step{resolve(p.ops[i], r, channels)};
    step.flop = step_flop(step.op, grid_extent(step.op).h);
    plan.steps.push_back(step);
  }
  for (const Strip& strip : layout.strips.strips) {
    for (const StripShift& shift : strip.shifts) {
      // Rows still needed move to the start of the window: a copy between two views of the same buffer.
      const auto& b = p.buffers[shift.buffer];
      const int w = int(int64_t(lr.w) * b.num / b.den);
      const int64_t row_bytes = int64_t(w) * b.c * dtype_bytes(options.dtype);
      const int64_t start = int64_t(layout.buffers[shift.buffer].offset);
      const int from = shift.first_row - r.base_row[shift.buffer];
      r.base_row[shift.buffer] = shift.first_row;
      if (shift.keep_rows == 0 || from == 0) continue;
      Tensor to = dense_f32(nullptr, shift.keep_rows, w, b.c);
      to.dtype = options.dtype;
      Tensor src = to;
      to.data = reinterpret_cast<void*>(intptr_t(start));
      src.data = reinterpret_cast<void*>(intptr_t(start + from * row_bytes));
      // Row by row when the views overlap, so that no row is overwritten before it has moved.
      const int block = std::min(from, shift.keep_rows);
      for (int y = 0; y < shift.keep_rows; y += block) {
        Copy<Tensor> copy{src, to};
        copy.x.h = copy.y.h = std::min(block, shift.keep_rows - y);
        copy.x.data = static_cast<char*>(src.data) + y * row_bytes;
        copy.y.data = static_cast<char*>(to.data) + y * row_bytes;
        plan.steps.push_back({copy});
      }
    }
    for (const StripRun& run : strip.runs) {
      PlanStep step{resolve(p.ops[run.op], r, channels), run.begin, run.end};
      step.flop = step_flop(step.op, run.end - run.begin);
      plan.steps.push_back(step);
    }
  }
  for (const PlanStep& step : plan.steps) plan.flop += step.flop;
  return plan;
}

void Plan::bind(void* base) {
  auto shift = [&](Tensor& t) {
    if (t.c)
      t.data = reinterpret_cast<void*>(reinterpret_cast<intptr_t>(t.data) + reinterpret_cast<intptr_t>(base));
  };
  shift(x), shift(y);
  for (PlanStep& step : steps)
    std::visit([&](auto& op) { op.operands([&](Tensor& t, bool) { shift(t); }); }, step.op);
}

}  // namespace ups
