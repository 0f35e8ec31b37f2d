// Simulates row progress of the strip-mined operators, once, when the plan is made.
#include "runtime/strips.h"

#include <algorithm>
#include <climits>

#include "kernels/cpu/winograd_tile.h"

namespace ups {

namespace {

// How an operator maps rows. grid: output rows before the shuffle.
struct RowMap {
  Value x, y;
  std::vector<Value> beside;    // read at the output's own rows
  std::vector<Value> complete;  // must be there before the first row
  RowUse use;
  int grid_rows = 0;
  int step = 4;  // strips begin at multiples of so many grid rows

  // Grid rows computable when `done` rows of an h-row input exist.
  int available(int done, int h) const {
    if (done >= h) return grid_rows;
    const int last = done * use.up - use.k + use.before();  // first row of the highest usable window
    return last < 0 ? 0 : std::min(grid_rows, last / use.stride + 1);
  }
  // First input row that grid row g reads.
  int first_input(int g) const { return std::max(0, g * use.stride - use.before()) / use.up; }
};

RowMap row_map(const Op<Value>& op) {
  RowMap m;
  std::visit(
      [&](auto o) {
        m.use = o.rows();
        bool first = true;
        if constexpr (requires { o.complete([](Value) {}); })
          o.complete([&](Value v) { m.complete.push_back(v); });
        auto is_complete = [&](Value v) {
          return std::any_of(m.complete.begin(), m.complete.end(), [&](Value c) { return c.id == v.id; });
        };
        o.operands([&](Value v, bool written) {
          if (written)
            m.y = v;
          else if (first)
            m.x = v, first = false;
          else if (v && !is_complete(v))
            m.beside.push_back(v);
        });
      },
      op);
  return m;
}

}  // namespace

std::vector<int> segment_starts(const Placement& p) {
  std::vector<int> starts = {0}, maker(p.buffers.size(), -1);
  for (size_t i = 0; i < p.ops.size(); i++) {
    RowMap m = row_map(p.ops[i]);
    if (m.use.whole) m.complete.push_back(m.x);
    for (Value v : m.complete)
      if (maker[p.locations[v.id].buffer] >= starts.back()) starts.push_back(int(i));
    maker[p.locations[m.y.id].buffer] = int(i);
  }
  return starts;
}

namespace {

// Operators under way, strip after strip: how far each has come, and which rows the windows hold.
class StripProgress {
 public:
  StripProgress(const Placement& p, Extent lr, int first_op)
      : p_(p),
        lr_(lr),
        first_op_(first_op),
        windowed_(p.buffers.size(), 0),
        window_rows_(p.buffers.size(), 0),
        done_(p.buffers.size(), INT_MAX),
        base_(p.buffers.size(), 0) {}

  // Reads operators [first_op, end_op). Returns whether they can run in strips.
  bool read(int end_op) {
    for (int i = first_op_; i < end_op; i++) {
      maps_.push_back(row_map(p_.ops[i]));
      RowMap& m = maps_.back();
      if (m.use.whole) return false;
      m.grid_rows = rows_of(m.use.of_x ? m.x : m.y) / m.use.shuffle;
      const auto& buffer = p_.buffers[buffer_of(m.y)];
      const Extent y = p_.extent(buffer, lr_), out{y.h / m.use.shuffle, y.w / m.use.shuffle};
      m.step = std::visit([&](const auto& o) { return cpu::row_step(o, out); }, p_.ops[i]);
      if (buffer.concat) return false;
      windowed_[buffer_of(m.y)] = !buffer.once && buffer.first_op >= first_op_ && buffer.last_op < end_op;
      done_[buffer_of(m.y)] = 0;
    }
    next_.assign(maps_.size(), 0);
    for (const RowMap& m : maps_)
      for (Value v : m.complete)
        if (done_[buffer_of(v)] == 0) return false;
    return true;
  }

  bool finished() const {
    for (size_t i = 0; i < maps_.size(); i++)
      if (next_[i] < maps_[i].grid_rows) return false;
    return true;
  }

  // Windows begin with the first row that somebody still reads.
  std::vector<StripShift> move_windows() {
    std::vector<StripShift> shifts;
    for (size_t b = 0; b < windowed_.size(); b++) {
      if (!windowed_[b]) continue;
      int keep = done_[b];
      for (size_t i = 0; i < maps_.size(); i++) {
        const RowMap& m = maps_[i];
        if (next_[i] >= m.grid_rows) continue;
        if (buffer_of(m.x) == int(b)) keep = std::min(keep, m.first_input(next_[i]));
        for (Value a : m.beside)
          if (buffer_of(a) == int(b)) keep = std::min(keep, next_[i]);
      }
      if (keep == base_[b]) continue;
      shifts.push_back({int(b), keep, done_[b] - keep});
      base_[b] = keep;
    }
    return shifts;
  }

  // Every operator goes as far as the rows it reads are there; of what lies outside the strips, down to LR
  // row lr_end.
  std::vector<StripRun> advance(int lr_end) {
    std::vector<StripRun> runs;
    for (size_t i = 0; i < maps_.size(); i++) {
      const RowMap& m = maps_[i];
      int end = std::min(m.grid_rows, readable(m, m.x, true, lr_end));
      for (Value v : m.beside) end = std::min(end, readable(m, v, false, lr_end));
      // Blocked algorithms see the same blocks as without strips.
      if (end < m.grid_rows) end = end / m.step * m.step;
      if (end <= next_[i]) continue;
      runs.push_back({first_op_ + int(i), next_[i], end});
      next_[i] = end;
      const int b = buffer_of(m.y);
      done_[b] = end * m.use.shuffle;
      if (windowed_[b]) window_rows_[b] = std::max(window_rows_[b], done_[b] - base_[b]);
    }
    return runs;
  }

  const std::vector<int>& window_rows() const { return window_rows_; }

 private:
  int buffer_of(Value v) const { return p_.locations[v.id].buffer; }
  int rows_of(Value v) const { return p_.extent(p_.buffers[buffer_of(v)], lr_).h; }

  // Grid rows of the operator for which enough rows of its operand v exist.
  int readable(const RowMap& m, Value v, bool is_x, int lr_end) const {
    const int have = done_[buffer_of(v)];
    if (have == INT_MAX) return lr_end == lr_.h ? m.grid_rows : int(int64_t(lr_end) * m.grid_rows / lr_.h);
    return is_x ? m.available(have, rows_of(v)) : have;
  }

  const Placement& p_;
  const Extent lr_;
  const int first_op_;
  std::vector<RowMap> maps_;  // of the operators
  std::vector<int> next_;     // next grid row of each
  std::vector<char> windowed_;
  std::vector<int> window_rows_;
  std::vector<int> done_;  // by buffer: rows present; INT_MAX: the whole image is there
  std::vector<int> base_;  // by buffer: image row a window starts with
};

}  // namespace

StripSchedule schedule_strips(const Placement& p, Extent lr, int first_op, int end_op, int lr_rows) {
  StripProgress operators(p, lr, first_op);
  if (!operators.read(end_op)) return {};
  StripSchedule s;
  for (int lr_end = 0; !operators.finished();) {
    lr_end = std::min(lr.h, lr_end + std::max(1, lr_rows));
    Strip strip;
    if (!s.strips.empty()) strip.shifts = operators.move_windows();
    strip.runs = operators.advance(lr_end);
    s.strips.push_back(std::move(strip));
    if (s.strips.size() > size_t(lr.h) + 64) return {};  // no progress: cannot happen for sane operators
  }
  s.window_rows = operators.window_rows();
  return s;
}

}  // namespace ups
