// kernels/device/stream.h served by host memory: work is done at once, or recorded.
#include "kernels/device/stream.h"

#include <cstring>
#include <functional>
#include <utility>

#include "kernels/error.h"
#include "tests/simt/simt.h"

namespace ups::cuda {

std::vector<DeviceInfo> devices(std::string*) {
  return {{0, 80, 2, 163 << 10, 40 << 20, int64_t(1) << 30, "host emulator"}};
}

// A stream's handle: whether it is being recorded, and what.
struct Queue {
  bool recording = false;
  std::vector<std::function<void()>> recorded;
};

Stream::Stream(const DeviceInfo& device)
    : device_(device), workspace_(simt::allocate(kWorkspaceBytes)), handle_(new Queue) {}
Stream::~Stream() {
  simt::release(workspace_);
  delete static_cast<Queue*>(handle_);
}
void Stream::synchronize() {}
void Stream::upload(void* device, const void* host, size_t bytes) {
  simt::submit(handle_, [=] { std::memcpy(device, host, bytes); });
}
void Stream::download(void* host, const void* device, size_t bytes) {
  simt::submit(handle_, [=] { std::memcpy(host, device, bytes); });
}
void Stream::fill(void* device, int byte, size_t bytes) {
  simt::submit(handle_, [=] { std::memset(device, byte, bytes); });
}

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

// executable_ is the recorded work.
Recording::~Recording() { delete static_cast<std::vector<std::function<void()>>*>(executable_); }
void Recording::begin(Stream& stream) {
  auto* queue = static_cast<Queue*>(stream.handle());
  check(!queue->recording, Code::device, "CUDA: starting a recording failed: one is under way");
  queue->recording = true;
  queue->recorded.clear();
}
void Recording::end(Stream& stream) {
  auto* queue = static_cast<Queue*>(stream.handle());
  check(queue->recording, Code::device, "CUDA: ending a recording failed: none is under way");
  queue->recording = false;
  delete static_cast<std::vector<std::function<void()>>*>(executable_);
  executable_ = new std::vector<std::function<void()>>(std::move(queue->recorded));
}
void Recording::replay(Stream&) {
  for (const auto& work : *static_cast<std::vector<std::function<void()>>*>(executable_)) work();
}

}  // namespace ups::cuda

void simt::submit(void* stream, std::function<void()> work) {
  auto* queue = static_cast<ups::cuda::Queue*>(stream);
  if (queue->recording)
    queue->recorded.push_back(std::move(work));
  else
    work();
}
