// Context switch: the callee-saved registers and the stack pointer. ucontext, the fallback, also saves the
// signal mask by a system call, which makes it some ten times slower.
#include "tests/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define UPS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UPS_ASAN 1
#endif
#endif
#if UPS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(UPS_SIMT_UCONTEXT)
asm(R"(
.text
.globl simt_switch
.type simt_switch, @function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch, .-simt_switch
)");
#elif defined(__aarch64__) && !defined(UPS_SIMT_UCONTEXT)
asm(R"(
.text
.globl simt_switch
.type simt_switch, %function
simt_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size simt_switch, .-simt_switch
)");
#else
#define UPS_FALLBACK 1
#include <ucontext.h>
#endif

#if !UPS_FALLBACK
extern "C" void simt_switch(void** save_sp, void* load_sp);
#endif

namespace simt {
namespace {

constexpr size_t kStackBytes =
#if UPS_ASAN
    256 << 10;
#else
    64 << 10;
#endif

#if UPS_ASAN
Fiber* arriving_from = nullptr;  // whom fiber_started() or a resumed fiber came from
#endif

void finish_switch(Fiber& self) {
#if UPS_ASAN
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(self.asan_fake_stack, &bottom, &bytes);
  if (arriving_from && !arriving_from->stack) {  // the OS thread's own stack, seen for the first time
    arriving_from->stack = static_cast<char*>(const_cast<void*>(bottom));
    arriving_from->stack_bytes = bytes;
  }
#else
  (void)self;
#endif
}

}  // namespace

void prepare(Fiber& fiber, void (*entry)()) {
  if (!fiber.stack) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, page, PROT_NONE);
    fiber.stack = static_cast<char*>(memory) + page;
    fiber.stack_bytes = kStackBytes;
  }
#if UPS_ASAN
  __asan_unpoison_memory_region(fiber.stack, fiber.stack_bytes);  // frames that never returned
  fiber.asan_fake_stack = nullptr;
#endif
#if UPS_FALLBACK
  if (!fiber.sp) fiber.sp = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(fiber.sp);
  getcontext(context);
  context->uc_stack.ss_sp = fiber.stack;
  context->uc_stack.ss_size = fiber.stack_bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
#else
  auto* top = reinterpret_cast<uint64_t*>(fiber.stack + fiber.stack_bytes);
#if defined(__x86_64__)
  // As after a call: the stack pointer is 8 below a multiple of 16 when entry begins.
  top -= 1;
  top[0] = 0;
  *--top = reinterpret_cast<uint64_t>(entry);
  top -= 6;
  std::memset(top, 0, 48);
#else
  top -= 20;
  std::memset(top, 0, 160);
  top[11] = reinterpret_cast<uint64_t>(entry);  // x30
#endif
  fiber.sp = top;
#endif
}

void switch_fiber(Fiber& from, Fiber& to, bool dying) {
#if UPS_ASAN
  arriving_from = &from;
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.asan_fake_stack, to.stack, to.stack_bytes);
#else
  (void)dying;
#endif
#if UPS_FALLBACK
  if (!from.sp) from.sp = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.sp), static_cast<ucontext_t*>(to.sp));
#else
  simt_switch(&from.sp, to.sp);
#endif
  finish_switch(from);
}

void fiber_started() {
  Fiber fresh;
  finish_switch(fresh);
}

}  // namespace simt
