// The block that is running: its threads, who can run, who waits for what. Shared by the emulator's parts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/simt/fiber.h"
#include "tests/simt/simt.h"

namespace simt {

struct PendingCopy {
  void* dst;
  const void* src;
  int bytes, src_bytes;
};

struct Thread {
  Fiber fiber;
  bool exited = false;
  const char* waits_for = nullptr;  // null while it can run
  unsigned site = 0;
  const void* on = nullptr;  // the mbarrier it waits for
  std::vector<PendingCopy> copies;
  std::vector<size_t> copy_groups;  // sizes of committed, unfinished groups, oldest first
  size_t open_copies = 0;           // not yet committed
};

// N threads on their way to one collective.
struct Meeting {
  const char* what = nullptr;
  unsigned site = 0;
  int arrived = 0, expected = 0;
  void* lanes[1024];
  std::vector<unsigned> waiting;
};

struct Wgmma {
  float* acc[128];
  int count;
  std::function<void(float** acc)> compute;
};
struct Warpgroup {
  std::vector<Wgmma> queue;
  std::vector<size_t> groups;
  size_t open = 0;
  struct Saved {
    float* acc[128];
    std::vector<float> values;
  };
  std::vector<Saved> saved;  // accumulators of unfinished operations
};

struct Landing {
  uint64_t* barrier;
  unsigned bytes;
  std::function<void()> land;
};

struct Block {
  unsigned threads = 0, current = 0;
  Fiber main;
  std::vector<Thread> thread;
  uint64_t ready[16];
  unsigned exited = 0;
  Meeting whole, named[16];
  std::vector<Meeting> warps;
  std::vector<Meeting> warpgroups;
  std::vector<Warpgroup> wgmma;
  std::vector<Landing> landings;  // oldest first
  std::string fault;
};
extern Block block;

void wake(unsigned thread);
// The calling thread waits until woken.
void wait(const char* what, unsigned site);
void abandon_block();  // back to run(), for good
// As fault(), for callers that must not throw: compilers expect it of the functions that sanitizers call.
void misaligned(const std::string& sentence);

// Memory (memory.cpp).
void poison_shared(size_t bytes);
std::string damage_of_shared(size_t bytes);  // empty if none
std::string damage_of_global();

}  // namespace simt
