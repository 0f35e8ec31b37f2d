// Concat placement and value lifetimes.
#include "runtime/placement.h"

#include <algorithm>
#include <climits>
#include <map>

namespace ups {

namespace {

struct Uses {
  std::vector<int> def, last;  // operator indices by value id; -1: never
};

// Which operator makes each value, and which reads it last under its own name.
Uses find_uses(const Expanded& graph) {
  const size_t n = graph.values.size();
  Uses u{std::vector<int>(n, -1), std::vector<int>(n, -1)};
  for (size_t i = 0; i < graph.ops.size(); i++)
    std::visit(
        [&](auto op) {
          op.operands([&](Value v, bool written) {
            if (!v) return;
            if (written)
              u.def[v.id] = int(i);
            else
              u.last[v.id] = int(i);
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

// The stages of a placement, each seeing what those before have decided.
class Placer {
 public:
  Placer(const Graph& graph, const Whole& whole)
      : graph_(graph), expanded_(expand(graph, whole)), uses_(find_uses(expanded_)) {
    p_.rounding = graph.rounding();
    p_.locations.resize(values_.size());
    for (const auto& v : values_) p_.channels.push_back(v.c);
  }

  Placement place() {
    claim_concats();
    place_parts();
    place_rest();
    order_operators();
    find_lifetimes();
    return std::move(p_);
  }

 private:
  // A buffer per concat, largest first, or a run of slices of a larger one that holds the same parts.
  void claim_concats() {
    std::vector<int> concats;
    for (size_t v = 0; v < values_.size(); v++)
      if (!values_[v].parts.empty() && uses_.last[v] >= 0) concats.push_back(int(v));
    std::stable_sort(concats.begin(), concats.end(),
                     [&](int a, int b) { return values_[a].c > values_[b].c; });
    for (int k : concats)
      if (!share_claimed(k)) claim(k);
  }

  bool share_claimed(int concat) {
    for (Claimed& c : claimed_) {
      const int at = find_run(c.slots, values_[concat].parts);
      if (at < 0) continue;
      p_.locations[concat] = {c.buffer, c.offsets[at]};
      c.last = std::max(c.last, uses_.last[concat]);
      return true;
    }
    return false;
  }

  void claim(int concat) {
    const auto& value = values_[concat];
    Claimed c{int(p_.buffers.size()), {}, {}, uses_.last[concat]};
    int offset = 0;
    for (Value part : value.parts) {
      c.slots.push_back(part.id), c.offsets.push_back(offset);
      offset += values_[part.id].c;
    }
    p_.buffers.push_back({value.c, value.num, value.den, true, false, 0, 0});
    p_.locations[concat] = {c.buffer, 0};
    claimed_.push_back(std::move(c));
  }

  // Parts: produced in place when nothing reads them after the buffer is done with; otherwise copied right
  // after their definition, and early readers are sent to the copy so that dense blocks see one buffer.
  void place_parts() {
    for (const Claimed& c : claimed_)
      for (size_t i = 0; i < c.slots.size(); i++) {
        const int v = c.slots[i];
        const bool fixed = v == graph_.input_value().id || v == graph_.output_value().id;
        if (!fixed && p_.locations[v].buffer < 0 && uses_.last[v] <= c.last) {
          p_.locations[v] = {c.buffer, c.offsets[i]};
          continue;
        }
        const int copy = int(p_.locations.size());
        p_.locations.push_back({c.buffer, c.offsets[i]});
        p_.channels.push_back(values_[v].c);
        copies_.insert({uses_.def[v], {v, copy, c.last}});
        p_.copies++;
      }
  }

  // What is no concat's part has a buffer of its own.
  void place_rest() {
    for (size_t v = 0; v < values_.size(); v++) {
      const bool stored =
          values_[v].parts.empty() && (uses_.def[v] >= 0 || int(v) == graph_.input_value().id);
      if (!stored || p_.locations[v].buffer >= 0) continue;
      p_.locations[v] = {int(p_.buffers.size()), 0};
      p_.buffers.push_back({values_[v].c, values_[v].num, values_[v].den, false, values_[v].once, 0, 0});
    }
  }

  void order_operators() {
    insert_copies(-1);
    for (size_t i = 0; i < expanded_.ops.size(); i++) {
      Op<Value> op = expanded_.ops[i];
      std::visit(
          [&](auto& o) {
            o.operands([&](Value& v, bool written) {
              if (v && !written) v = read_at(v, int(i));
            });
          },
          op);
      p_.ops.push_back(op);
      insert_copies(int(i));
    }
  }

  void insert_copies(int def) {
    auto [lo, hi] = copies_.equal_range(def);
    for (auto it = lo; it != hi; ++it) p_.ops.push_back(Copy<Value>{{it->second.part}, {it->second.copy}});
  }

  // The value that operator i reads for v: itself, or its copy.
  Value read_at(Value v, int i) const {
    auto [lo, hi] = copies_.equal_range(uses_.def[v.id]);
    for (auto it = lo; it != hi; ++it)
      if (it->second.part == v.id && i <= it->second.until) return {it->second.copy};
    return v;
  }

  void find_lifetimes() {
    for (auto& b : p_.buffers) b.first_op = INT_MAX, b.last_op = -1;
    auto touch = [&](Value v, int i) {
      if (!v) return;
      auto& b = p_.buffers[p_.locations[v.id].buffer];
      b.first_op = std::min(b.first_op, i), b.last_op = std::max(b.last_op, i);
    };
    touch(graph_.input_value(), -1);
    for (size_t i = 0; i < p_.ops.size(); i++)
      std::visit([&](auto op) { op.operands([&](Value v, bool) { touch(v, int(i)); }); }, p_.ops[i]);
    touch(graph_.output_value(), int(p_.ops.size()));
  }

  // A concat's buffer.
  struct Claimed {
    int buffer;
    std::vector<int> slots, offsets;  // part ids and their first channels
    int last;                         // last reader of any concat in it
  };
  struct CopyOut {
    int part, copy, until;
  };

  const Graph& graph_;
  const Expanded expanded_;
  const std::vector<Graph::ValueInfo>& values_ = expanded_.values;
  const Uses uses_;
  Placement p_;
  std::vector<Claimed> claimed_;
  std::multimap<int, CopyOut> copies_;  // by defining operator
};

}  // namespace

Extent Placement::extent(const Buffer& b, Extent lr) const {
  if (b.once) return {1, 1};
  const int64_t more = rounding == Rounding::up ? b.den - 1 : 0;
  return {int((int64_t(lr.h) * b.num + more) / b.den), int((int64_t(lr.w) * b.num + more) / b.den)};
}

Placement place_values(const Graph& graph, const Whole& whole) { return Placer(graph, whole).place(); }

}  // namespace ups
