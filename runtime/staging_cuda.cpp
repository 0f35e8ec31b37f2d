// Transfers in pieces through two page-locked blocks.
#include "runtime/staging_cuda.h"

#include <algorithm>
#include <cstring>

namespace ups {

namespace {
constexpr size_t kBlockBytes = size_t(4) << 20;  // a transfer of 0.2 ms; 2 ms to allocate two of them
}

void Staging::reserve(size_t wanted) {
  wanted = std::max(wanted, kBlockBytes);
  if (wanted <= block_bytes_) return;
  for (const auto& e : events_) e.wait();
  memory_ = {};
  memory_ = cuda::PinnedMemory(2 * wanted);
  block_bytes_ = wanted;
}

void* Staging::block(int i) {
  reserve(0);
  events_[i].wait();
  return static_cast<char*>(memory_.data()) + i * block_bytes_;
}

void Staging::upload(cuda::Stream& stream, void* device, size_t bytes, size_t unit,
                     const std::function<void(char* to, size_t at, size_t n)>& fill) {
  reserve(unit);
  const size_t piece = block_bytes_ / unit * unit;
  for (size_t at = 0; at < bytes; at += piece, next_ ^= 1) {
    const size_t n = std::min(piece, bytes - at);
    char* to = static_cast<char*>(block(next_));
    fill(to, at, n);
    stream.upload(static_cast<char*>(device) + at, to, n);
    sent(next_, stream);
  }
}

void Staging::upload(cuda::Stream& stream, void* device, const void* host, size_t bytes) {
  upload(stream, device, bytes, 1,
         [&](char* to, size_t at, size_t n) { std::memcpy(to, static_cast<const char*>(host) + at, n); });
}

}  // namespace ups
