// kernels/device/stream.h served by host memory: launches run at once, so everything is synchronous.
#include "kernels/device/stream.h"

#include <cstring>
#include <utility>

#include "kernels/error.h"
#include "tests/simt/simt.h"

namespace ups::cuda {

std::vector<DeviceInfo> devices(std::string*) {
  return {{0, 80, 2, 163 << 10, 40 << 20, int64_t(1) << 30, "host emulator"}};
}

Stream::Stream(const DeviceInfo& device) : device_(device) {}
Stream::~Stream() = default;
void Stream::synchronize() {}
void Stream::upload(void* device, const void* host, size_t bytes) { std::memcpy(device, host, bytes); }
void Stream::download(void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }
void Stream::fill(void* device, int byte, size_t bytes) { std::memset(device, byte, bytes); }

Event::Event(const DeviceInfo&) {}
Event::~Event() = default;
void Event::record(Stream&) {}
void Event::make_wait(Stream&) {}
float Event::elapsed_ms(const Event&) const { return 0; }

DeviceMemory::DeviceMemory(Stream& stream, size_t bytes)
    : data_(bytes ? simt::allocate(bytes) : nullptr), bytes_(bytes), stream_(&stream) {}
DeviceMemory::~DeviceMemory() { simt::release(data_); }
DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      stream_(other.stream_) {}
DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_), std::swap(stream_, other.stream_);
  return *this;
}

PinnedMemory::PinnedMemory(size_t bytes) : data_(bytes ? std::malloc(bytes) : nullptr), bytes_(bytes) {}
PinnedMemory::~PinnedMemory() { std::free(data_); }
PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
  return *this;
}

// Nothing is recorded: begin .. end runs the work, and replay is refused.
Recording::~Recording() = default;
void Recording::begin(Stream&) {}
void Recording::end(Stream&) {}
void Recording::replay(Stream&) { fail(Code::device, "the host emulator cannot replay a recording"); }

}  // namespace ups::cuda
