// What the host needs of a CUDA device: what it is, streams, events, memory. No CUDA header is included here.
//
// The CUDA runtime is linked statically and finds the driver at run time: without a driver, devices() is
// empty and says why. Under the host emulator the same interface is served by host memory
// (tests/simt/stream.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ups::cuda {

// A plain struct, so that tests can make up devices: kernel choice is a pure function of it and the operator.
struct DeviceInfo {
  int index = 0;
  int sm = 0;  // 80, 86, 89, 90, ... : major * 10 + minor
  int num_sms = 0;
  int smem_bytes = 0;  // shared memory one block may have (opt-in maximum)
  int64_t l2_bytes = 0, memory_bytes = 0;
  std::string name;
};

// Usable devices. Never throws; if the result is empty and why is given, *why is a sentence.
std::vector<DeviceInfo> devices(std::string* why = nullptr);

// Makes the device's context, if this process has none there yet. Never throws: failure shows when a stream
// is made.
void wake(const DeviceInfo& device);

// A queue of work on one device. Moves of data are asynchronous when the host side is PinnedMemory.
// Errors: Error{Code::device}, or Error{Code::memory} from allocations.
class Stream {
 public:
  explicit Stream(const DeviceInfo& device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  const DeviceInfo& device() const { return device_; }
  void* handle() const { return handle_; }  // cudaStream_t
  void use();                               // makes the device that of the calling thread
  void synchronize();
  void release_unused();  // synchronizes, and gives released memory back to the driver
  void upload(void* device, const void* host, size_t bytes);
  void download(void* host, const void* device, size_t bytes);
  void fill(void* device, int byte, size_t bytes);
  // Device memory for what one operator hands from launch to launch; the next operator may overwrite it.
  static constexpr size_t kWorkspaceBytes = size_t(1) << 20;
  void* workspace() const { return workspace_; }

 private:
  DeviceInfo device_;
  void* workspace_ = nullptr;
  void* handle_ = nullptr;
};

// A point in a stream: another stream can wait for it, the host can measure between two.
class Event {
 public:
  explicit Event(const DeviceInfo& device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Stream& stream);
  void make_wait(Stream& stream);                // later work of `stream` waits for the recorded point
  void wait() const;                             // the host waits for it, without spinning
  float elapsed_ms(const Event& earlier) const;  // waits for both

 private:
  void* handle_ = nullptr;
};

// Device memory from the device's pool, ordered on a stream: released memory is reused without a
// device-wide wait.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Stream& stream, size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Stream* stream_ = nullptr;
};

// Page-locked host memory: costs time to make, so make it once and reuse it.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(size_t bytes);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept;
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Work recorded once and replayed with one call (a CUDA graph). Between begin and end, everything enqueued on
// the stream is recorded instead of run.
class Recording {
 public:
  Recording() = default;
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  void begin(Stream& stream);
  void end(Stream& stream);
  bool ready() const { return executable_ != nullptr; }
  void replay(Stream& stream);

 private:
  void* executable_ = nullptr;  // cudaGraphExec_t
};

}  // namespace ups::cuda
