// kernels/device/stream.h served by host memory: work is done at once, as late as possible, or recorded.
#include "kernels/device/stream.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <utility>

#include "kernels/error.h"
#include "tests/simt/simt.h"

namespace ups::cuda {

namespace {
bool late = false;
int streams = 0;
size_t limit = 0, held = 0, peak = 0;
}  // namespace

std::vector<DeviceInfo> devices(std::string*) {
  return {{0, 80, 2, 163 << 10, 40 << 20, int64_t(1) << 30, "host emulator"}};
}

void wake(const DeviceInfo&) {}

// A stream's handle: whether it is being recorded, and what; what it has still to do.
struct Queue {
  bool recording = false;
  std::vector<std::function<void()>> recorded;
  std::deque<std::function<void()>> pending;
  int64_t submitted = 0, done = 0;

  // Does the first `count` pieces of work ever submitted.
  void run_to(int64_t count) {
    while (done < count && !pending.empty()) {
      const auto work = std::move(pending.front());
      pending.pop_front();
      done++;
      work();
    }
  }
  void run_all() { run_to(submitted); }
};

namespace {
Queue* queue(const Stream& stream) { return static_cast<Queue*>(stream.handle()); }
}  // namespace

Stream::Stream(const DeviceInfo& device)
    : device_(device), workspace_(simt::allocate(kWorkspaceBytes)), handle_(new Queue) {
  streams++;
}
Stream::~Stream() {
  streams--;
  queue(*this)->run_all();
  simt::release(workspace_);
  delete queue(*this);
}
void Stream::use() {}
void Stream::synchronize() { queue(*this)->run_all(); }
void Stream::release_unused() { synchronize(); }
void Stream::upload(void* device, const void* host, size_t bytes) {
  simt::submit(handle_, [=] { std::memcpy(device, host, bytes); });
}
void Stream::download(void* host, const void* device, size_t bytes) {
  simt::submit(handle_, [=] { std::memcpy(host, device, bytes); });
}
void Stream::fill(void* device, int byte, size_t bytes) {
  simt::submit(handle_, [=] { std::memset(device, byte, bytes); });
}

// The recorded point: so much of the work of that stream.
struct Point {
  Queue* queue = nullptr;
  int64_t count = 0;
};
Event::Event(const DeviceInfo&) : handle_(new Point) {}
Event::~Event() { delete static_cast<Point*>(handle_); }
void Event::record(Stream& stream) {
  *static_cast<Point*>(handle_) = {queue(stream), queue(stream)->submitted};
}
void Event::make_wait(Stream& stream) {
  const Point point = *static_cast<Point*>(handle_);
  if (point.queue) simt::submit(stream.handle(), [=] { point.queue->run_to(point.count); });
}
void Event::wait() const {
  const Point& point = *static_cast<Point*>(handle_);
  if (point.queue) point.queue->run_to(point.count);
}
float Event::elapsed_ms(const Event&) const { return 0; }

DeviceMemory::DeviceMemory(Stream& stream, size_t bytes) : bytes_(bytes), stream_(&stream) {
  check(!limit || held + bytes <= limit, Code::memory,
        "CUDA: allocating device memory failed: out of memory (cudaErrorMemoryAllocation)");
  held += bytes;
  peak = std::max(peak, held);
  if (bytes) data_ = simt::allocate(bytes);
}
DeviceMemory::~DeviceMemory() {
  if (data_) queue(*stream_)->run_all();  // freed in the order of the stream
  simt::release(data_);
  held -= bytes_;
}
DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      stream_(other.stream_) {}
DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_), std::swap(stream_, other.stream_);
  return *this;
}

PinnedMemory::PinnedMemory(size_t bytes) : data_(bytes ? simt::allocate(bytes) : nullptr), bytes_(bytes) {}
PinnedMemory::~PinnedMemory() { simt::release(data_); }
PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
  return *this;
}

// executable_ is the recorded work.
Recording::~Recording() { delete static_cast<std::vector<std::function<void()>>*>(executable_); }
void Recording::begin(Stream& stream) {
  check(!queue(stream)->recording, Code::device, "CUDA: starting a recording failed: one is under way");
  queue(stream)->recording = true;
  queue(stream)->recorded.clear();
}
void Recording::end(Stream& stream) {
  check(queue(stream)->recording, Code::device, "CUDA: ending a recording failed: none is under way");
  queue(stream)->recording = false;
  delete static_cast<std::vector<std::function<void()>>*>(executable_);
  executable_ = new std::vector<std::function<void()>>(std::move(queue(stream)->recorded));
}
void Recording::replay(Stream& stream) {
  for (const auto& work : *static_cast<std::vector<std::function<void()>>*>(executable_))
    simt::submit(stream.handle(), work);
}

}  // namespace ups::cuda

void simt::submit(void* stream, std::function<void()> work) {
  auto* queue = static_cast<ups::cuda::Queue*>(stream);
  if (queue->recording) {
    queue->recorded.push_back(std::move(work));
    return;
  }
  queue->pending.push_back(std::move(work));
  queue->submitted++;
  if (!ups::cuda::late) queue->run_all();
}
void simt::set_late_streams(bool late) { ups::cuda::late = late; }
int simt::streams() { return ups::cuda::streams; }
void simt::set_memory_limit(size_t bytes) {
  ups::cuda::limit = bytes;
  ups::cuda::peak = ups::cuda::held;
}
size_t simt::peak_memory() { return ups::cuda::peak; }
