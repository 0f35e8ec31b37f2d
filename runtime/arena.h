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

  // At least `bytes`. When what it has is enough, the first `bytes` keep their contents and the memory of the
  // rest goes back to the system; otherwise contents are lost.
  // Throws Error{Code::memory}.
  // in_file: backed by a temporary file without a name (in TMPDIR), so that the system can take the memory
  // back. Throws Error{Code::io} when there is no room for it.
  void* reserve(size_t bytes, bool in_file = false);
  // What is in a file leaves memory until it is touched again. Nothing otherwise.
  void forget();
  void release();
  size_t bytes() const { return bytes_; }

 private:
  void give_back_from(size_t bytes);

  void* data_ = nullptr;
  size_t bytes_ = 0, used_ = 0;  // used_: asked for last
  bool in_file_ = false;
};

}  // namespace ups
