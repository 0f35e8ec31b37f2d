// Staging: two page-locked blocks through which data moves between host and device, so that a block is filled
// or emptied while the other is on its way. Page-locked memory is slow to make: there is one Staging for all
// purposes.
#pragma once

#include <functional>

#include "kernels/device/stream.h"

namespace ups {

class Staging {
 public:
  explicit Staging(const cuda::DeviceInfo& device) : events_{cuda::Event(device), cuda::Event(device)} {}

  // Bytes of one block; at least `wanted` after reserve(wanted).
  void reserve(size_t wanted);
  size_t block_bytes() const { return block_bytes_; }

  // A block whose last transfer is over. The caller transfers from or to it on a stream and then calls
  // sent().
  void* block(int i);
  void sent(int i, cuda::Stream& stream) { events_[i].record(stream); }

  // Moves `bytes` to the device; fill(to, at, n) writes bytes [at, at + n). Pieces are multiples of `unit`
  // bytes. Returns when all is on its way.
  void upload(cuda::Stream& stream, void* device, size_t bytes, size_t unit,
              const std::function<void(char* to, size_t at, size_t n)>& fill);
  void upload(cuda::Stream& stream, void* device, const void* host, size_t bytes);

 private:
  size_t block_bytes_ = 0;
  int next_ = 0;
  cuda::PinnedMemory memory_;
  cuda::Event events_[2];
};

}  // namespace ups
