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

StripSchedule schedule_strips(const Placement& p, Extent lr, int first_op, int end_op, int lr_rows) {
  auto buffer_of = [&](Value v) { return p.locations[v.id].buffer; };
  auto rows_of = [&](Value v) { return p.extent(p.buffers[buffer_of(v)], lr).h; };

  StripSchedule s;
  s.window_rows.assign(p.buffers.size(), 0);
  std::vector<char> windowed(p.buffers.size(), 0);
  std::vector<RowMap> maps;
  for (int i = first_op; i < end_op; i++) {
    maps.push_back(row_map(p.ops[i]));
    RowMap& m = maps.back();
    if (m.use.whole) return {};
    m.grid_rows = rows_of(m.use.of_x ? m.x : m.y) / m.use.shuffle;
    const auto& buffer = p.buffers[buffer_of(m.y)];
    const Extent y = p.extent(buffer, lr), out{y.h / m.use.shuffle, y.w / m.use.shuffle};
    m.step = std::visit([&](const auto& o) { return cpu::row_step(o, out); }, p.ops[i]);
    if (buffer.concat) return {};
    windowed[buffer_of(m.y)] = !buffer.once && buffer.first_op >= first_op && buffer.last_op < end_op;
  }

  std::vector<int> next(maps.size(), 0);             // next grid row of each operator
  std::vector<int> done(p.buffers.size(), INT_MAX);  // rows present; INT_MAX: whole image is there
  std::vector<int> base(p.buffers.size(), 0);        // image row a window starts with
  for (const RowMap& m : maps) done[buffer_of(m.y)] = 0;
  for (const RowMap& m : maps)
    for (Value v : m.complete)
      if (done[buffer_of(v)] == 0) return {};

  auto unfinished = [&] {
    for (size_t i = 0; i < maps.size(); i++)
      if (next[i] < maps[i].grid_rows) return true;
    return false;
  };
  for (int lr_end = 0; unfinished();) {
    lr_end = std::min(lr.h, lr_end + std::max(1, lr_rows));
    Strip strip;
    if (!s.strips.empty())
      for (size_t b = 0; b < windowed.size(); b++) {
        if (!windowed[b]) continue;
        int keep = done[b];
        for (size_t i = 0; i < maps.size(); i++) {
          const RowMap& m = maps[i];
          if (next[i] >= m.grid_rows) continue;
          if (buffer_of(m.x) == int(b)) keep = std::min(keep, m.first_input(next[i]));
          for (Value a : m.beside)
            if (buffer_of(a) == int(b)) keep = std::min(keep, next[i]);
        }
        if (keep == base[b]) continue;
        strip.shifts.push_back({int(b), keep, done[b] - keep});
        base[b] = keep;
      }
    for (size_t i = 0; i < maps.size(); i++) {
      const RowMap& m = maps[i];
      int end = m.grid_rows;
      auto limit = [&](Value v, bool is_x) {
        const int b = buffer_of(v), have = done[b];
        if (have == INT_MAX)  // outside the strips: follow the LR rows of this strip
          end = std::min(end, lr_end == lr.h ? m.grid_rows : int(int64_t(lr_end) * m.grid_rows / lr.h));
        else
          end = std::min(end, is_x ? m.available(have, rows_of(v)) : have);
      };
      limit(m.x, true);
      for (Value v : m.beside) limit(v, false);
      // Blocked algorithms see the same blocks as without strips.
      if (end < m.grid_rows) end = end / m.step * m.step;
      if (end <= next[i]) continue;
      strip.runs.push_back({first_op + int(i), next[i], end});
      next[i] = end;
      const int b = buffer_of(m.y);
      done[b] = end * m.use.shuffle;
      if (windowed[b]) s.window_rows[b] = std::max(s.window_rows[b], done[b] - base[b]);
    }
    s.strips.push_back(std::move(strip));
    if (s.strips.size() > size_t(lr.h) + 64) return {};  // no progress: cannot happen for sane operators
  }
  return s;
}

}  // namespace ups
