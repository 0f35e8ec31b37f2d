// Scratch: one growing block, on huge pages where the system has them (V and U are read with large strides).
#include <cstdlib>

#include "kernels/cpu/run.h"
#include "kernels/error.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace ups::cpu {

void Scratch::Free::operator()(void* p) const { std::free(p); }

void* Scratch::get(size_t bytes) {
  if (bytes <= bytes_) return block_.get();
  constexpr size_t kHuge = size_t(2) << 20;
  const size_t alignment = bytes >= kHuge ? kHuge : 64;
  check(bytes < SIZE_MAX - alignment, Code::memory, "scratch: got ", bytes, " bytes, expected less");
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  block_.reset();
  bytes_ = 0;
  block_.reset(std::aligned_alloc(alignment, rounded));
  check(block_ != nullptr, Code::memory, "scratch: cannot allocate ", rounded, " bytes");
#ifdef __linux__
  if (alignment == kHuge) madvise(block_.get(), rounded, MADV_HUGEPAGE);
#endif
  bytes_ = rounded;
  return block_.get();
}

}  // namespace ups::cpu
