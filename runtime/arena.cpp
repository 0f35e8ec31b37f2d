// Large allocations from the operating system.
#include "runtime/arena.h"

#include "kernels/error.h"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

namespace ups {

void* Arena::reserve(size_t bytes) {
  if (bytes <= bytes_) return data_;
  release();
#if defined(_WIN32)
  data_ = _aligned_malloc(bytes, 4096);
  check(data_ != nullptr, Code::memory, "arena: cannot allocate ", bytes >> 20, " MiB (use a smaller tile)");
#else
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(p != MAP_FAILED, Code::memory, "arena: cannot allocate ", bytes >> 20, " MiB (use a smaller tile)");
#if defined(MADV_HUGEPAGE)
  madvise(p, bytes, MADV_HUGEPAGE);  // fewer TLB misses: transforms stride over megabytes
#endif
  data_ = p;
#endif
  bytes_ = bytes;
  return data_;
}

void Arena::release() {
#if defined(_WIN32)
  _aligned_free(data_);
#else
  if (data_) munmap(data_, bytes_);
#endif
  data_ = nullptr, bytes_ = 0;
}

}  // namespace ups
