// Everything asynchronous: cp.async, mbarriers with bulk copies, wgmma. All of it lands as late as allowed.
#include <cstring>

#include "tests/simt/block.h"

namespace simt {
namespace {

// An mbarrier's 64 bits: phase 1, expected arrivals 11, missing arrivals 11, missing bytes 32 (signed),
// tag 9.
struct Mbarrier {
  unsigned phase, expected, missing;
  int32_t bytes;
};
constexpr uint64_t kTag = 0x0A5;

Mbarrier decode(const uint64_t* barrier, const char* what) {
  check_shared(barrier, 8, 8, what);
  const uint64_t v = *barrier;
  if (v >> 55 != kTag) fault(std::string(what) + ": the mbarrier was not initialised");
  return {unsigned(v & 1), unsigned(v >> 1 & 0x7ff), unsigned(v >> 12 & 0x7ff), int32_t(v >> 23)};
}

void encode(uint64_t* barrier, const Mbarrier& m) {
  *barrier = kTag << 55 | uint64_t(uint32_t(m.bytes)) << 23 | uint64_t(m.missing) << 12 |
             uint64_t(m.expected) << 1 | m.phase;
}

void settle(uint64_t* barrier, Mbarrier m) {
  if (m.missing == 0 && m.bytes == 0) {
    m.phase ^= 1;
    m.missing = m.expected;
    for (unsigned t = 0; t < block.threads; t++)
      if (block.thread[t].on == barrier) wake(t);
  }
  encode(barrier, m);
}

void land(const PendingCopy* copies, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const PendingCopy& c = copies[i];
    std::memcpy(c.dst, c.src, size_t(c.src_bytes));
    std::memset(static_cast<char*>(c.dst) + c.src_bytes, 0, size_t(c.bytes - c.src_bytes));
  }
}

}  // namespace

void copy_async(void* dst, const void* src, int bytes, int src_bytes) {
  check_shared(dst, size_t(bytes), size_t(bytes), "cp.async");
  if (src_bytes > 0 && reinterpret_cast<uintptr_t>(src) % size_t(bytes))
    fault("cp.async: global address is not a multiple of " + std::to_string(bytes));
  check_global(src, size_t(src_bytes), "cp.async");
  poison(dst, size_t(bytes));
  Thread& t = block.thread[block.current];
  t.copies.push_back({dst, src, bytes, src_bytes});
  t.open_copies++;
}

void copy_commit() {
  Thread& t = block.thread[block.current];
  t.copy_groups.push_back(t.open_copies);
  t.open_copies = 0;
}

void copy_wait(int left) {
  Thread& t = block.thread[block.current];
  size_t count = 0, groups = 0;
  while (t.copy_groups.size() - groups > size_t(left)) count += t.copy_groups[groups++];
  land(t.copies.data(), count);
  t.copies.erase(t.copies.begin(), t.copies.begin() + std::ptrdiff_t(count));
  t.copy_groups.erase(t.copy_groups.begin(), t.copy_groups.begin() + std::ptrdiff_t(groups));
}

void copy_arrive(uint64_t* barrier) {
  decode(barrier, "cp.async.mbarrier.arrive");
  Thread& t = block.thread[block.current];
  std::vector<PendingCopy> copies = std::move(t.copies);
  t.copies.clear(), t.open_copies = 0;
  for (auto& group : t.copy_groups) group = 0;
  block.landings.push_back({barrier, 0, [barrier, copies = std::move(copies)] {
                              land(copies.data(), copies.size());
                              mbarrier_arrive(barrier, 0);
                            }});
}

void mbarrier_init(uint64_t* barrier, unsigned arrivals) {
  check_shared(barrier, 8, 8, "mbarrier.init");
  if (arrivals < 1 || arrivals > 2047) fault("mbarrier.init: got " + std::to_string(arrivals) + " arrivals");
  encode(barrier, {0, arrivals, arrivals, 0});
}

void mbarrier_arrive(uint64_t* barrier, unsigned expected_bytes) {
  Mbarrier m = decode(barrier, "mbarrier.arrive");
  if (m.missing == 0) fault("mbarrier.arrive: more arrivals than the barrier was initialised for");
  m.bytes += int32_t(expected_bytes);
  m.missing--;
  settle(barrier, m);
}

void mbarrier_wait(uint64_t* barrier, unsigned parity) {
  while (decode(barrier, "mbarrier.try_wait").phase == (parity & 1)) {
    block.thread[block.current].on = barrier;
    wait("an mbarrier", 0);
  }
}

void land_later(uint64_t* barrier, unsigned bytes, std::function<void()> land) {
  decode(barrier, "bulk copy");
  block.landings.push_back({barrier, bytes, [barrier, bytes, land = std::move(land)] {
                              land();
                              Mbarrier m = decode(barrier, "bulk copy");
                              m.bytes -= int32_t(bytes);
                              settle(barrier, m);
                            }});
}

void wgmma_queue(float** acc, int count, std::function<void(float** acc)> compute) {
  Warpgroup& g = block.wgmma[block.current / 128];
  Wgmma op;
  std::memcpy(op.acc, acc, sizeof op.acc);
  op.count = count, op.compute = std::move(compute);
  bool known = false;
  for (const auto& s : g.saved) known = known || s.acc[0] == acc[0];
  if (!known) {
    Warpgroup::Saved s;
    std::memcpy(s.acc, acc, sizeof s.acc);
    for (int lane = 0; lane < 128; lane++) {
      s.values.insert(s.values.end(), acc[lane], acc[lane] + count);
      poison(acc[lane], size_t(count) * sizeof(float));
    }
    g.saved.push_back(std::move(s));
  }
  g.queue.push_back(std::move(op));
  g.open++;
}

void wgmma_commit() {
  Warpgroup& g = block.wgmma[block.current / 128];
  g.groups.push_back(g.open);
  g.open = 0;
}

void wgmma_wait(int left) {
  Warpgroup& g = block.wgmma[block.current / 128];
  size_t count = 0, groups = 0;
  while (g.groups.size() - groups > size_t(left)) count += g.groups[groups++];
  for (size_t i = 0; i < count; i++) {
    Wgmma& op = g.queue[i];
    for (size_t s = 0; s < g.saved.size(); s++) {
      if (g.saved[s].acc[0] != op.acc[0]) continue;
      for (int lane = 0; lane < 128; lane++)
        std::memcpy(op.acc[lane], &g.saved[s].values[size_t(lane) * op.count], size_t(op.count) * 4);
      g.saved.erase(g.saved.begin() + std::ptrdiff_t(s));
      break;
    }
    op.compute(op.acc);
  }
  // Accumulators of operations still under way stay undefined.
  for (size_t i = count; i < g.queue.size(); i++) {
    Wgmma& op = g.queue[i];
    bool known = false;
    for (const auto& s : g.saved) known = known || s.acc[0] == op.acc[0];
    if (known) continue;
    Warpgroup::Saved s;
    std::memcpy(s.acc, op.acc, sizeof s.acc);
    for (int lane = 0; lane < 128; lane++) {
      s.values.insert(s.values.end(), op.acc[lane], op.acc[lane] + op.count);
      poison(op.acc[lane], size_t(op.count) * sizeof(float));
    }
    g.saved.push_back(std::move(s));
  }
  g.queue.erase(g.queue.begin(), g.queue.begin() + std::ptrdiff_t(count));
  g.groups.erase(g.groups.begin(), g.groups.begin() + std::ptrdiff_t(groups));
}

}  // namespace simt
