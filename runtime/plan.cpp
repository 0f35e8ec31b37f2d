// Resolves a placement at one extent: final kernel calls on tensors in the arena.
#include "runtime/plan.h"

#include <algorithm>
#include <climits>
#include <cstdint>

#include "kernels/error.h"
#include "runtime/layout.h"

namespace ups {

namespace {

// The extent an operator's output has before its pixel shuffle.
Extent grid_extent(const Op<Tensor>& op) {
  return std::visit(
      [](const auto& o) {
        const int r = o.rows().shuffle;
        return o.rows().of_x ? o.x.extent() : Extent{o.y.h / r, o.y.w / r};
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

// Turns operators on values into calls on tensors, whose data are offsets into the arena. Windows move on as
// strips are resolved.
class Resolver {
 public:
  Resolver(const Placement& p, const Layout& layout, Extent lr, DType dtype)
      : p_(p), layout_(layout), lr_(lr), dtype_(dtype), base_row_(p.buffers.size(), 0) {}

  Tensor tensor(Value v) const {
    if (!v) return {};
    const auto& location = p_.locations[v.id];
    const auto& b = p_.buffers[location.buffer];
    const Extent e = p_.extent(b, lr_);
    Tensor t;
    t.dtype = b.once ? DType::f32 : dtype_;
    t.h = e.h, t.w = e.w, t.c = p_.channels[v.id];
    t.px = b.c, t.row = int64_t(t.w) * b.c, t.image = t.row * t.h;
    // Row 0 of a window may lie before the buffer; only rows that exist are ever touched.
    t.data = at(location.buffer,
                (location.offset - int64_t(base_row_[location.buffer]) * t.row) * dtype_bytes(t.dtype));
    return t;
  }

  PlanStep whole(int op) const {
    PlanStep step{call(op)};
    step.flop = step_flop(step.op, grid_extent(step.op).h);
    return step;
  }

  PlanStep rows(const StripRun& run) const {
    PlanStep step{call(run.op), run.begin, run.end};
    step.flop = step_flop(step.op, run.end - run.begin);
    return step;
  }

  // Rows still needed move to the start of the window: copies between two views of one buffer.
  void move_window(const StripShift& shift, std::vector<PlanStep>& steps) {
    const auto& b = p_.buffers[shift.buffer];
    const int w = p_.extent(b, lr_).w, from = shift.first_row - base_row_[shift.buffer];
    const int64_t row_bytes = int64_t(w) * b.c * dtype_bytes(dtype_);
    base_row_[shift.buffer] = shift.first_row;
    if (from == 0) return;
    // No more rows at once than they move by, so that none is overwritten before it has moved.
    for (int y = 0; y < shift.keep_rows; y += from) {
      Tensor rows = dense_f32(nullptr, std::min(from, shift.keep_rows - y), w, b.c);
      rows.dtype = dtype_;
      Copy<Tensor> copy{rows, rows};
      copy.x.data = at(shift.buffer, (from + y) * row_bytes);
      copy.y.data = at(shift.buffer, y * row_bytes);
      steps.push_back({copy});
    }
  }

 private:
  void* at(int buffer, int64_t byte) const {
    return reinterpret_cast<void*>(intptr_t(int64_t(layout_.buffers[buffer].offset) + byte));
  }

  Op<Tensor> call(int op) const {
    return std::visit(
        [&](const auto& o) -> Op<Tensor> {
          return o.template map<Tensor>([&](Value v) { return tensor(v); });
        },
        p_.ops[op]);
  }

  const Placement& p_;
  const Layout& layout_;
  const Extent lr_;
  const DType dtype_;
  std::vector<int> base_row_;  // by buffer: image row its memory starts with
};

}  // namespace

Plan make_plan(const Graph& graph, Extent lr, const PlanOptions& options) {
  check(bool(graph.input_value()) && bool(graph.output_value()), Code::model,
        "planner: the graph has no output");
  check(lr.h > 0 && lr.w > 0, Code::usage, "planner: tile is ", lr.w, "x", lr.h, ", expected at least 1x1");
  for (const auto& v : graph.values())
    check(graph.rounding() != Rounding::exact || (lr.h % v.den == 0 && lr.w % v.den == 0), Code::usage,
          "planner: tile is ", lr.w, "x", lr.h, ", expected multiples of ", v.den);

  Placement p = place_values(graph, options.whole);
  for (auto& b : p.buffers)
    if (!b.once && b.c > 16)
      b.c = (b.c + options.pixel_multiple - 1) / options.pixel_multiple * options.pixel_multiple;
  const Layout layout = best_layout(p, lr, options);

  Plan plan;
  plan.segment_bytes = options.segment_bytes;
  plan.lr = lr;
  plan.arena_bytes = layout.arena_bytes;
  plan.buffers = layout.buffers;
  plan.concat_copies = p.copies;
  plan.strip_first_op = layout.strip_first_op;
  Resolver resolver(p, layout, lr, options.dtype);
  plan.x = resolver.tensor(graph.input_value());
  plan.y = resolver.tensor(graph.output_value());
  plan.hr = plan.y.extent();
  for (const Segment& segment : layout.segments) {
    if (segment.strips.strips.empty())
      for (int i = segment.first; i < segment.end; i++) plan.steps.push_back(resolver.whole(i));
    for (const Strip& strip : segment.strips.strips) {
      for (const StripShift& shift : strip.shifts) resolver.move_window(shift, plan.steps);
      for (const StripRun& run : strip.runs) plan.steps.push_back(resolver.rows(run));
    }
  }
  for (const PlanStep& step : plan.steps) plan.flop += step.flop;
  return plan;
}

const GroupStats<Tensor>* statistics_after(const Plan& plan, size_t i) {
  if (i + 1 >= plan.steps.size()) return nullptr;
  const PlanStep &step = plan.steps[i], &next = plan.steps[i + 1];
  const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op);
  const auto* stats = std::get_if<GroupStats<Tensor>>(&next.op);
  const bool same = conv && stats && stats->x.data == conv->y.data && next.row_begin == step.row_begin &&
                    std::min(next.row_end, conv->y.h) == std::min(step.row_end, conv->y.h);
  return same ? stats : nullptr;
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
