// Arena offsets, and the choice of strips.
#include "runtime/layout.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <numeric>

#include "kernels/error.h"

namespace ups {

namespace {

constexpr size_t kAlign = 64;  // a cache line and the widest vector

size_t checked_product(size_t a, size_t b) {
  size_t r;
  check(!__builtin_mul_overflow(a, b, &r) && r < size_t(PTRDIFF_MAX) / 4, Code::memory,
        "planner: the image needs more memory than this machine can address (use smaller tiles)");
  return r;
}

size_t buffer_bytes(const Placement& p, const Placement::Buffer& b, Extent lr, int window_rows, DType dtype) {
  check(int64_t(std::max(lr.h, lr.w)) * b.num < INT_MAX, Code::memory,
        "planner: the image needs more memory than this machine can address (use smaller tiles)");
  const Extent e = p.extent(b, lr);
  const size_t h = size_t(window_rows ? window_rows : e.h), element = b.once ? 4 : dtype_bytes(dtype);
  return (checked_product(checked_product(h, size_t(e.w)), size_t(b.c) * element) + kAlign - 1) / kAlign *
         kAlign;
}

// First-fit offsets, largest first, for buffers and for chains of them that begin at one place: root[i] is
// the first of buffer i's chain. Buffers whose lifetimes are disjoint may share bytes. Returns the arena's
// size.
size_t pack(std::vector<Plan::Buffer>& buffers, const std::vector<int>& root) {
  std::vector<std::vector<int>> chains(buffers.size());
  std::vector<size_t> bytes(buffers.size(), 0);
  std::vector<int> order, placed;
  for (int i = 0; i < int(buffers.size()); i++) {
    if (root[i] == i) order.push_back(i);
    chains[root[i]].push_back(i);
    bytes[root[i]] = std::max(bytes[root[i]], buffers[i].bytes);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bytes[a] > bytes[b]; });
  size_t total = 0;
  for (int chain : order) {
    size_t at = 0;
    const auto moved = [&] {  // past a buffer that is in the way
      for (int j : placed)
        for (int i : chains[chain]) {
          const auto &b = buffers[i], &o = buffers[j];
          const bool alive_together = o.first_op <= b.last_op && b.first_op <= o.last_op;
          if (!alive_together || o.offset >= at + b.bytes || at >= o.offset + o.bytes) continue;
          at = o.offset + o.bytes;
          return true;
        }
      return false;
    };
    while (moved()) {
    }
    for (int i : chains[chain]) buffers[i].offset = at, placed.push_back(i);
    total = std::max(total, at + bytes[chain]);
  }
  return total;
}

// Where to cut and how many LR rows a strip has; 0: no strips.
struct Cut {
  int first, end, lr_rows;
};

// What an operator's output may overwrite if nobody reads it later: each pixel is read just before it is
// written.
std::vector<Value> replaceable(const Op<Value>& op, InPlace in_place) {
  std::vector<Value> out;
  const auto take = [&](const Addend<Value>& add) {
    if (add.t && add.group == 1) out.push_back(add.t);
  };
  if (const auto* conv = std::get_if<Conv2d<Value>>(&op); conv && conv->shuffle == 1) {
    take(conv->add), take(conv->add2);
    // Its own input and a shortcut are read beyond the pixel that is written.
    out.erase(std::remove_if(out.begin(), out.end(),
                             [&](Value v) { return v.id == conv->x.id || v.id == conv->shortcut.t.id; }),
              out.end());
  }
  if (in_place != InPlace::all) return out;
  if (const auto* mlp = std::get_if<MlpSublayer<Value>>(&op)) {
    out.push_back(mlp->x), take(mlp->add);
  } else if (const auto* attention = std::get_if<AttentionSublayer<Value>>(&op)) {
    // A block reads its windows before it writes them; keys beyond a window belong to others.
    if (attention->keys == attention->window)
      out = {attention->x, attention->residual};
    else if (attention->residual.id != attention->x.id)
      out = {attention->residual};
  }
  return out;
}

bool reads(const Placement& p, int op, int buffer) {
  bool found = false;
  std::visit(
      [&](auto o) {
        o.operands([&](Value v, bool written) {
          found = found || (v && !written && p.locations[v.id].buffer == buffer);
        });
      },
      p.ops[size_t(op)]);
  return found;
}

// Whether the operator reads row r of the buffer for its row r only.
bool reads_row_by_row(const Placement& p, int op, int buffer) {
  return std::visit(
      [&](auto o) {
        const RowUse use = o.rows();
        bool complete = false;
        if constexpr (requires { o.complete([](Value) {}); })
          o.complete([&](Value v) { complete = complete || p.locations[v.id].buffer == buffer; });
        return use.k == 1 && use.stride == 1 && use.up == 1 && use.shuffle == 1 && !use.whole && !complete;
      },
      p.ops[size_t(op)]);
}

// Whether, in the strips of a segment, operator `writer` makes only rows that all readers of the buffer have
// passed.
bool written_behind_readers(const Placement& p, const Segment& s, int writer, int buffer) {
  std::vector<int> readers, done(size_t(s.end - s.first), 0);
  for (int j = s.first; j < s.end; j++)
    if (reads(p, j, buffer)) {
      if (j == writer || !reads_row_by_row(p, j, buffer)) return false;
      readers.push_back(j);
    }
  for (const Strip& strip : s.strips.strips)
    for (const StripRun& run : strip.runs) {
      done[size_t(run.op - s.first)] = run.end;
      for (int j : readers)
        if (run.op == writer && run.end > done[size_t(j - s.first)]) return false;
    }
  return !readers.empty();
}

// Buffers that may share one place although their lifetimes touch, in chains; returns the first of each
// chain.
//   1. An operator's output takes the place of an operand it may overwrite (replaceable()). In strips only if
//   no
//      other operator of the segment reads that operand.
//   2. In strips, an output takes the place of a buffer made before the segment whose rows all readers have
//      passed when the output's are written. The output may be narrower: both begin at the start of the
//      place, so its rows lie before the same rows of the wider one.
std::vector<int> places_in_common(const Placement& p, const std::vector<Segment>& segments,
                                  const std::vector<int>& window_rows, InPlace in_place) {
  std::vector<int> root(p.buffers.size());
  std::vector<char> taken(p.buffers.size(), false);
  std::iota(root.begin(), root.end(), 0);
  if (in_place == InPlace::none) return root;
  const auto plain = [&](int b) { return !p.buffers[b].concat && !p.buffers[b].once && !window_rows[b]; };
  const auto read_beside = [&](int b, int reader) {
    for (const Segment& s : segments) {
      if (reader < s.first || reader >= s.end || s.strips.strips.empty()) continue;
      for (int j = s.first; j < s.end; j++)
        if (j != reader && reads(p, j, b)) return true;
    }
    return false;
  };
  for (const Segment& s : segments)
    for (int i = s.first; i < s.end; i++) {
      const Value made = std::visit([](const auto& o) { return o.y; }, p.ops[i]);
      const int y = p.locations[made.id].buffer;
      const auto& to = p.buffers[y];
      if (!plain(y) || to.first_op != i) continue;
      const auto fits = [&](int a) {
        const auto& from = p.buffers[a];
        return a != y && root[y] == y && !taken[a] && plain(a) && from.num == to.num && from.den == to.den;
      };
      const auto take = [&](int a) { root[y] = root[a], taken[a] = true; };
      for (Value v : replaceable(p.ops[i], in_place)) {
        const int a = p.locations[v.id].buffer;
        if (fits(a) && p.buffers[a].c == to.c && p.buffers[a].last_op == i && !read_beside(a, i)) take(a);
      }
      const bool shuffles = std::visit([](const auto& o) { return o.rows().shuffle > 1; }, p.ops[i]);
      for (int a = 0; a < int(p.buffers.size()) && !shuffles && !s.strips.strips.empty(); a++) {
        const auto& from = p.buffers[a];
        if (fits(a) && from.c >= to.c && from.first_op >= 0 && from.first_op < s.first &&
            from.last_op >= s.first && from.last_op < i && written_behind_readers(p, s, i, a))
          take(a);
      }
    }
  return root;
}

Layout lay_out(const Placement& p, Extent lr, const PlanOptions& o, const std::vector<Cut>& cuts) {
  const DType dtype = o.dtype;
  Layout l;
  std::vector<int> window_rows(p.buffers.size(), 0);
  for (const Cut& cut : cuts) {
    Segment s{cut.first, cut.end, {}};
    if (cut.lr_rows) s.strips = schedule_strips(p, lr, cut.first, cut.end, cut.lr_rows);
    if (s.strips.strips.size() < 2) {
      s.strips = {};
    } else {
      if (l.strip_first_op < 0) l.strip_first_op = cut.first;
      for (size_t i = 0; i < window_rows.size(); i++) window_rows[i] += s.strips.window_rows[i];
    }
    l.segments.push_back(std::move(s));
  }
  for (size_t i = 0; i < p.buffers.size(); i++) {
    const auto& b = p.buffers[i];
    Plan::Buffer out{0, buffer_bytes(p, b, lr, window_rows[i], dtype), b.first_op, b.last_op};
    // Within strips all operators are alive together: lifetimes stretch over the whole segment.
    for (const Segment& s : l.segments) {
      if (s.strips.strips.empty()) continue;
      const int last = s.end == int(p.ops.size()) ? s.end : s.end - 1;  // the output outlives the operators
      if (out.last_op >= s.first && out.last_op < s.end) out.last_op = last;
      if (out.first_op >= s.first && out.first_op < s.end) out.first_op = s.first;
    }
    l.buffers.push_back(out);
  }
  l.arena_bytes = pack(l.buffers, places_in_common(p, l.segments, window_rows, o.in_place));
  return l;
}

// Bytes per LR row of what operators [first, end) pass among themselves.
double row_bytes(const Placement& p, Extent lr, DType dtype, int first, int end) {
  double bytes = 0;
  for (const auto& b : p.buffers)
    if (b.first_op >= first && b.last_op < end && !b.once)
      bytes += double(b.c) * dtype_bytes(dtype) * lr.w * b.num / b.den * b.num / b.den;
  return bytes;
}

// The strips of each segment of a graph with statistics of the whole image.
Layout segment_layout(const Placement& p, Extent lr, const PlanOptions& o) {
  std::vector<int> starts;
  for (int start : segment_starts(p)) {
    while (o.segment_ops && !starts.empty() && start - starts.back() > o.segment_ops)
      starts.push_back(starts.back() + o.segment_ops);
    starts.push_back(start);
  }
  while (o.segment_ops && int(p.ops.size()) - starts.back() > o.segment_ops)
    starts.push_back(starts.back() + o.segment_ops);
  std::vector<Cut> cuts;
  for (size_t i = 0; i < starts.size(); i++) {
    const int end = i + 1 < starts.size() ? starts[i + 1] : int(p.ops.size());
    const double bytes = row_bytes(p, lr, o.dtype, starts[i], end);
    const double rows = o.segment_bytes && bytes > 0 ? std::max(1.0, o.segment_bytes / bytes) : lr.h;
    cuts.push_back({starts[i], end, rows >= lr.h ? 0 : int(rows)});
  }
  return lay_out(p, lr, o, cuts);
}

bool has_statistics(const Placement& p) {
  return std::any_of(p.buffers.begin(), p.buffers.end(), [](const auto& b) { return b.once; });
}

// Convolutions transform their weights for each strip, which costs as much as some seven tiles of 8x8 pixels.
// With very many weights strips have some 32 such tiles.
size_t least_strip_rows(const Placement& p, Extent lr) {
  const bool heavy = std::any_of(p.ops.begin(), p.ops.end(), [](const Op<Value>& op) {
    const auto* conv = std::get_if<Conv2d<Value>>(&op);
    return conv && conv->w.k == 3 && conv->w.cin * conv->w.cout >= 256 * 256;
  });
  return heavy ? std::clamp<size_t>(32 * 64 / lr.w / 8 * 8, 8, 32) : 4;
}

}  // namespace

// Tries the last operators as strips, from each possible start, and keeps the smallest arena.
Layout best_layout(const Placement& p, Extent lr, const PlanOptions& o) {
  const int n = int(p.ops.size());
  if (o.segment_ops || has_statistics(p)) return segment_layout(p, lr, o);
  Layout best = lay_out(p, lr, o, {{0, n, 0}});
  if (!o.strip_bytes) return best;
  constexpr int kMostStripOps = 24;  // a longer suffix never paid: windows of deep chains grow past the trunk
  size_t row_bytes = 0;              // of all windowed intermediates, per LR row
  const size_t least_rows = least_strip_rows(p, lr);
  for (int first = n - 1; first >= std::max(0, n - kMostStripOps); first--) {
    for (const auto& b : p.buffers)
      if (b.first_op == first)
        row_bytes += size_t(b.c) * dtype_bytes(o.dtype) * lr.w * b.num / b.den * b.num / b.den;
    const int rows = int(
        std::clamp<size_t>(o.strip_bytes / std::max<size_t>(1, row_bytes), least_rows, size_t(INT_MAX / 64)));
    if (rows >= lr.h) continue;
    Layout l = lay_out(p, lr, o, {{0, first, 0}, {first, n, rows}});
    if (l.strip_first_op >= 0 && l.arena_bytes < best.arena_bytes) best = std::move(l);
  }
  return best;
}

}  // namespace ups
