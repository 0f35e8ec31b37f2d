// Fibers: stacks that one OS thread switches between.
#pragma once

#include <cstddef>
#include <vector>

namespace simt {

struct Fiber {
  void* sp = nullptr;  // saved stack pointer while not running; in the fallback, a ucontext_t
  char* stack = nullptr;
  size_t stack_bytes = 0;
  void* asan_fake_stack = nullptr;
};

// Gives the fiber a stack (once; with a guard page below) and makes it start with entry() when switched to.
void prepare(Fiber& fiber, void (*entry)());
// Saves the running fiber in `from` and continues `to`. `dying`: `from` will never be continued.
void switch_fiber(Fiber& from, Fiber& to, bool dying = false);
// First call of every entry().
void fiber_started();

}  // namespace simt
