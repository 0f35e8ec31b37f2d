// Arena: one large allocation, zero-filled, aligned for vectors, backed by huge pages where the system has
// them.
#pragma once

#include <cstddef>

namespace ups {

class Arena {
 public:
  Arena() = default;
  ~Arena() { release(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // At least `bytes`; keeps what it has when that is enough, otherwise contents are lost.
  // Throws Error{Code::memory}.
  void* reserve(size_t bytes);
  void release();
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ups
