// Concat placement and value lifetimes.
#include "runtime/placement.h"

#include <algorithm>
#include <climits>
#include <map>
#include <numeric>

namespace ups {

namespace {

struct Uses {
  std::vector<int> def, first, last;  // operator indices by value id; -1: never
};

// A read of a concat is a read of its parts as well, for the question how long they must live.
Uses find_uses(const Expanded& graph) {
  const size_t n = graph.values.size();
  Uses u{std::vector<int>(n, -1), std::vector<int>(n, INT_MAX), std::vector<int>(n, -1)};
  for (size_t i = 0; i < graph.ops.size(); i++)
    std::visit(
        [&](auto op) {
          op.operands([&](Value v, bool written) {
            if (!v) return;
            if (written)
              u.def[v.id] = int(i);
            else
              u.first[v.id] = std::min(u.first[v.id], int(i)), u.last[v.id] = int(i);
          });
        },
        graph.ops[i]);
  return u;
}

// Where the parts of a concat sit in `slots` (part ids in channel order), as a run of consecutive entries.
int find_run(const std::vector<int>& slots, const std::vector<Value>& parts) {
  for (size_t at = 0; at + parts.size() <= slots.size(); at++) {
    bool equal = true;
    for (size_t i = 0; i < parts.size() && equal; i++) equal = slots[at + i] == parts[i].id;
    if (equal) return int(at);
  }
  return -1;
}

}  // namespace

Extent Placement::extent(const Buffer& b, Extent lr) const {
  if (b.once) return {1, 1};
  const int64_t more = rounding == Rounding::up ? b.den - 1 : 0;
  return {int((int64_t(lr.h) * b.num + more) / b.den), int((int64_t(lr.w) * b.num + more) / b.den)};
}

Placement place_values(const Graph& graph, const Whole& whole) {
  const Expanded expanded = expand(graph, whole);
  const auto& values = expanded.values;
  const Uses uses = find_uses(expanded);
  Placement p;
  p.rounding = graph.rounding();
  p.locations.resize(values.size());
  for (const auto& v : values) p.channels.push_back(v.c);

  std::vector<int> concats;
  for (size_t v = 0; v < values.size(); v++)
    if (!values[v].parts.empty() && uses.last[v] >= 0) concats.push_back(int(v));
  std::stable_sort(concats.begin(), concats.end(), [&](int a, int b) { return values[a].c > values[b].c; });

  // Claim a buffer per concat, or a run of slices of a larger one that holds the same parts.
  struct Claimed {
    int buffer;
    std::vector<int> slots, offsets;  // part ids and their first channels
    int last;                         // last reader of any concat in it
  };
  std::vector<Claimed> claimed;
  for (int k : concats) {
    const auto& parts = values[k].parts;
    bool aliased = false;
    for (Claimed& c : claimed) {
      const int at = find_run(c.slots, parts);
      if (at < 0) continue;
      p.locations[k] = {c.buffer, c.offsets[at]};
      c.last = std::max(c.last, uses.last[k]);
      aliased = true;
      break;
    }
    if (aliased) continue;
    Claimed c{int(p.buffers.size()), {}, {}, uses.last[k]};
    int offset = 0;
    for (Value part : parts) {
      c.slots.push_back(part.id), c.offsets.push_back(offset);
      offset += values[part.id].c;
    }
    p.buffers.push_back({values[k].c, values[k].num, values[k].den, true, false, 0, 0});
    p.locations[k] = {c.buffer, 0};
    claimed.push_back(std::move(c));
  }

  // Parts: produced in place when nothing reads them after the buffer is done with; otherwise copied right
  // after their definition, and early readers are sent to the copy so that dense blocks see one buffer.
  struct CopyOut {
    int part, copy, until;
  };
  std::multimap<int, CopyOut> copies;  // by defining operator
  std::vector<int> extra;              // copy id -> value it copies
  for (const Claimed& c : claimed)
    for (size_t i = 0; i < c.slots.size(); i++) {
      const int v = c.slots[i];
      const bool fixed = v == graph.input_value().id || v == graph.output_value().id;
      if (!fixed && p.locations[v].buffer < 0 && uses.last[v] <= c.last) {
        p.locations[v] = {c.buffer, c.offsets[i]};
        continue;
      }
      const int copy = int(values.size() + extra.size());
      extra.push_back(v);
      p.locations.push_back({c.buffer, c.offsets[i]});
      p.channels.push_back(values[v].c);
      copies.insert({uses.def[v], {v, copy, c.last}});
      p.copies++;
    }
  for (size_t v = 0; v < values.size(); v++) {
    const bool stored = values[v].parts.empty() && (uses.def[v] >= 0 || int(v) == graph.input_value().id);
    if (stored && p.locations[v].buffer < 0) {
      p.locations[v] = {int(p.buffers.size()), 0};
      p.buffers.push_back({values[v].c, values[v].num, values[v].den, false, values[v].once, 0, 0});
    }
  }

  auto insert_copies = [&](int def) {
    auto [lo, hi] = copies.equal_range(def);
    for (auto it = lo; it != hi; ++it) p.ops.push_back(Copy<Value>{{it->second.part}, {it->second.copy}});
  };
  insert_copies(-1);
  for (size_t i = 0; i < expanded.ops.size(); i++) {
    Op<Value> op = expanded.ops[i];
    std::visit(
        [&](auto& o) {
          o.operands([&](Value& v, bool written) {
            if (!v || written) return;
            auto [lo, hi] = copies.equal_range(uses.def[v.id]);
            for (auto it = lo; it != hi; ++it)
              if (it->second.part == v.id && int(i) <= it->second.until) {
                v.id = it->second.copy;
                break;
              }
          });
        },
        op);
    p.ops.push_back(op);
    insert_copies(int(i));
  }

  for (auto& b : p.buffers) b.first_op = INT_MAX, b.last_op = -1;
  auto touch = [&](Value v, int i) {
    if (!v) return;
    auto& b = p.buffers[p.locations[v.id].buffer];
    b.first_op = std::min(b.first_op, i), b.last_op = std::max(b.last_op, i);
  };
  touch(graph.input_value(), -1);
  for (size_t i = 0; i < p.ops.size(); i++)
    std::visit([&](auto op) { op.operands([&](Value v, bool) { touch(v, int(i)); }); }, p.ops[i]);
  touch(graph.output_value(), int(p.ops.size()));
  return p;
}

}  // namespace ups
