// The scheduler, the meetings and the launch.
#include "tests/simt/block.h"

#include <cstring>
#include <sstream>

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace simt {

Block block;

namespace {

Schedule schedule = Schedule::fair;
bool early_copies = false;
const std::function<void()>* body = nullptr;
bool running = false;

int lowest(int from) {  // first ready thread >= from, -1: none
  for (int word = from / 64; word < 16; word++) {
    uint64_t bits = block.ready[word];
    if (word == from / 64) bits &= ~uint64_t(0) << (from % 64);
    if (bits) return word * 64 + __builtin_ctzll(bits);
  }
  return -1;
}

int highest(int to) {  // last ready thread <= to, -1: none
  for (int word = to / 64; word >= 0; word--) {
    uint64_t bits = block.ready[word];
    if (word == to / 64 && to % 64 != 63) bits &= (uint64_t(1) << (to % 64 + 1)) - 1;
    if (bits) return word * 64 + 63 - __builtin_clzll(bits);
  }
  return -1;
}

int pick() {
  const int current = int(block.current);
  int next = -1;
  switch (schedule) {
    case Schedule::fair:
      next = current + 1 < 1024 ? lowest(current + 1) : -1;
      return next >= 0 ? next : lowest(0);
    case Schedule::fair_reversed:
      next = current > 0 ? highest(current - 1) : -1;
      return next >= 0 ? next : highest(1023);
    case Schedule::greedy_up:
      return lowest(0);
    case Schedule::greedy_down:
      return highest(1023);
  }
  return -1;
}

std::string where() {
  std::ostringstream o;
  o << "block (" << blockIdx.x << ", " << blockIdx.y << ", " << blockIdx.z << ")";
  return o.str();
}

// Runs of threads in the same state: "0..31 wait for __syncthreads (line 12), 32..63 exited".
std::string roll_call() {
  std::ostringstream o;
  for (unsigned i = 0; i < block.threads;) {
    const Thread& t = block.thread[i];
    unsigned j = i + 1;
    while (j < block.threads && block.thread[j].exited == t.exited &&
           block.thread[j].waits_for == t.waits_for && block.thread[j].site == t.site)
      j++;
    o << (i ? ", " : "") << i;
    if (j > i + 1) o << ".." << j - 1;
    if (t.exited)
      o << " exited";
    else if (t.waits_for)
      o << " wait for " << t.waits_for;
    else
      o << " can run";
    if (!t.exited && t.waits_for && t.site) o << " (line " << t.site << ")";
    i = j;
  }
  return o.str();
}

void activate(unsigned next) {
  block.current = next;
  threadIdx = {next, 0, 0};
}

// Continues whoever is next. Returns when the calling thread is picked again.
void reschedule(bool dying) {
  int next = early_copies ? -1 : pick();
  while (next < 0 && !block.landings.empty()) {
    Landing landing = std::move(block.landings.front());
    block.landings.erase(block.landings.begin());
    landing.land();
    next = early_copies ? -1 : pick();
  }
  if (next < 0) next = pick();
  const unsigned self = block.current;
  if (next < 0) {
    if (block.exited < block.threads) block.fault = "deadlock in " + where() + ": threads " + roll_call();
    switch_fiber(block.thread[self].fiber, block.main, dying);
    return;
  }
  if (unsigned(next) == self) return;
  activate(unsigned(next));
  switch_fiber(block.thread[self].fiber, block.thread[next].fiber, dying);
}

struct Abandoned {};  // thrown by fault(): unwinds the faulty thread; the others are simply never continued

void fiber_entry() {
  fiber_started();
  bool faulty = false;
  try {
    (*body)();
  } catch (const Abandoned&) {
    faulty = true;
  }
  if (faulty) abandon_block();
  Thread& t = block.thread[block.current];
  t.exited = true;
  block.exited++;
  block.ready[block.current / 64] &= ~(uint64_t(1) << (block.current % 64));
  reschedule(true);
  __builtin_unreachable();
}

void reset(Meeting& m) { m.arrived = 0, m.what = nullptr, m.waiting.clear(); }

void complete(Meeting& m, void (*operation)(void**, int)) {
  if (operation) operation(m.lanes, m.arrived);
  for (unsigned t : m.waiting) wake(t);
  reset(m);
}

void start_block(unsigned threads) {
  if (block.thread.size() < threads) block.thread.resize(threads);
  block.threads = threads, block.exited = 0, block.fault.clear();
  std::memset(block.ready, 0, sizeof block.ready);
  reset(block.whole);
  for (Meeting& m : block.named) reset(m);
  const size_t warps = (threads + 31) / 32, warpgroups = (threads + 127) / 128;
  if (block.warps.size() < warps) block.warps.resize(warps);
  if (block.warpgroups.size() < warpgroups) block.warpgroups.resize(warpgroups);
  for (Meeting& m : block.warps) reset(m);
  for (Meeting& m : block.warpgroups) reset(m);
  block.wgmma.assign(warpgroups, {});
  block.landings.clear();
  for (unsigned i = 0; i < threads; i++) {
    Thread& t = block.thread[i];
    t.exited = false, t.waits_for = nullptr, t.site = 0, t.on = nullptr;
    t.copies.clear(), t.copy_groups.clear(), t.open_copies = 0;
    prepare(t.fiber, fiber_entry);
    block.ready[i / 64] |= uint64_t(1) << (i % 64);
  }
}

}  // namespace

const char* schedule_name(Schedule s) {
  switch (s) {
    case Schedule::fair:
      return "fair";
    case Schedule::fair_reversed:
      return "fair reversed";
    case Schedule::greedy_up:
      return "greedy up";
    case Schedule::greedy_down:
      return "greedy down";
  }
  return "";
}

void set_schedule(Schedule s) { schedule = s; }
void set_early_copies(bool early) { early_copies = early; }
unsigned thread_index() { return block.current; }

void wake(unsigned thread) {
  Thread& t = block.thread[thread];
  t.waits_for = nullptr, t.on = nullptr;
  block.ready[thread / 64] |= uint64_t(1) << (thread % 64);
}

void wait(const char* what, unsigned site) {
  Thread& t = block.thread[block.current];
  t.waits_for = what, t.site = site;
  block.ready[block.current / 64] &= ~(uint64_t(1) << (block.current % 64));
  reschedule(false);
}

void abandon_block() {
  switch_fiber(block.thread[block.current].fiber, block.main, true);
  __builtin_unreachable();
}

void fault(const std::string& sentence) {
  std::ostringstream o;
  o << where() << ", thread " << block.current << ": " << sentence;
  block.fault = o.str();
  throw Abandoned();
}

void misaligned(const std::string& sentence) {
  if (!running) throw Fault(sentence);
  block.fault = where() + ", thread " + std::to_string(block.current) + ": " + sentence;
  abandon_block();
}

void meet_erased(int size, const char* what, unsigned site, void* lane,
                 void (*operation)(void** lanes, int)) {
  const unsigned self = block.current;
  Meeting* m = &block.whole;
  int index = int(self), expected = int(block.threads);
  if (size != kBlock) {
    const unsigned group = self / unsigned(size);
    m = size == 32 ? &block.warps[group] : &block.warpgroups[group];
    index = int(self % unsigned(size));
    expected = std::min(size, int(block.threads - group * unsigned(size)));
  }
  if (m->arrived && (std::strcmp(m->what, what) != 0 || m->site != site)) {
    std::ostringstream o;
    o << "divergence: is at " << what << " (line " << site << ") while others of its group wait at "
      << m->what << " (line " << m->site << "); threads " << roll_call();
    fault(o.str());
  }
  m->what = what, m->site = site;
  m->lanes[index] = lane;
  if (++m->arrived < expected) {
    m->waiting.push_back(self);
    wait(what, site);
    return;
  }
  complete(*m, operation);
  reschedule(false);
}

void named_barrier(int id, int threads) {
  if (id < 0 || id > 15 || threads < 32 || threads % 32 || threads > int(block.threads))
    fault("named barrier " + std::to_string(id) + " for " + std::to_string(threads) +
          " threads, expected id 0..15 and a multiple of 32 within the block");
  Meeting& m = block.named[id];
  if (m.arrived && m.expected != threads)
    fault("named barrier " + std::to_string(id) + " is used for " + std::to_string(m.expected) + " and " +
          std::to_string(threads) + " threads at once");
  m.expected = threads;
  m.what = "named barrier";
  if (++m.arrived < threads) {
    m.waiting.push_back(block.current);
    wait("named barrier", unsigned(id));
    return;
  }
  complete(m, nullptr);
  reschedule(false);
}

void run(Index3 grid, unsigned block_threads, size_t smem_bytes, const std::function<void()>& kernel) {
  if (running) throw Fault("launch inside a kernel");
  if (block_threads < 1 || block_threads > 1024)
    throw Fault("launch of " + std::to_string(block_threads) + " threads per block, expected 1..1024");
  if (smem_bytes > (227u << 10)) throw Fault("launch with more than 227 KiB of shared memory");
  if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.y > 65535 || grid.z > 65535)
    throw Fault("launch with an impossible grid");
  struct Running {
    Running() { running = true; }
    ~Running() { running = false; }
  } guard;
  body = &kernel;
  gridDim = grid, blockDim = {block_threads, 1, 1};
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = {x, y, z};
        poison_shared(smem_bytes);
        start_block(block_threads);
        block.current = schedule == Schedule::greedy_down || schedule == Schedule::fair_reversed ? 0 : 1023;
        const int first = pick();
        activate(unsigned(first));
        switch_fiber(block.main, block.thread[first].fiber);
        if (block.fault.empty()) block.fault = damage_of_shared(smem_bytes);
        if (block.fault.empty()) block.fault = damage_of_global();
        if (!block.fault.empty()) {
          const bool located = block.fault.find("block (") != std::string::npos;
          throw Fault(located ? block.fault : where() + ": " + block.fault);
        }
      }
}

}  // namespace simt
