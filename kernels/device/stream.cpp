// stream.h over the CUDA runtime. Every failure of the runtime throws here or in launch.
#include "kernels/device/stream.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "kernels/error.h"

namespace ups::cuda {
namespace {

void verify(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clear it: it was reported
  const Code code = status == cudaErrorMemoryAllocation ? Code::memory : Code::device;
  fail(code, "CUDA: ", doing, " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

cudaStream_t raw(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle()); }

}  // namespace

std::vector<DeviceInfo> devices(std::string* why) {
  std::vector<DeviceInfo> found;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    if (why) {
      if (status == cudaErrorInsufficientDriver)
        *why = "no CUDA device: the NVIDIA driver is missing or older than this program needs";
      else if (status == cudaSuccess || status == cudaErrorNoDevice)
        *why = "no CUDA device: the driver sees none (is CUDA_VISIBLE_DEVICES empty?)";
      else
        *why = std::string("no CUDA device: ") + cudaGetErrorString(status);
    }
    return found;
  }
  for (int i = 0; i < count; i++) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) {
      cudaGetLastError();
      continue;
    }
    found.push_back({i, p.major * 10 + p.minor, p.multiProcessorCount, int(p.sharedMemPerBlockOptin),
                     int64_t(p.l2CacheSize), int64_t(p.totalGlobalMem), p.name});
  }
  if (found.empty() && why) *why = "no CUDA device: none of them answers";
  return found;
}

void wake(const DeviceInfo& device) {
  if (cudaSetDevice(device.index) == cudaSuccess) cudaFree(nullptr);  // does not free: waits for the context
  cudaGetLastError();
}

Stream::Stream(const DeviceInfo& device) : device_(device) {
  verify(cudaSetDevice(device.index), "choosing the device");
  cudaStream_t stream;
  verify(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  handle_ = stream;
  verify(cudaMalloc(&workspace_, kWorkspaceBytes), "allocating a workspace");
  // Keep released memory in the pool instead of returning it to the driver at each synchronisation.
  cudaMemPool_t pool;
  if (cudaDeviceGetDefaultMemPool(&pool, device.index) == cudaSuccess) {
    uint64_t threshold = ~uint64_t(0);
    cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold);
  }
  cudaGetLastError();
}

Stream::~Stream() {
  cudaStreamSynchronize(raw(*this));
  cudaStreamDestroy(raw(*this));
  cudaFree(workspace_);
  cudaGetLastError();
}

void Stream::use() { verify(cudaSetDevice(device_.index), "choosing the device"); }
void Stream::synchronize() { verify(cudaStreamSynchronize(raw(*this)), "running kernels"); }
void Stream::release_unused() {
  synchronize();
  cudaMemPool_t pool;
  if (cudaDeviceGetDefaultMemPool(&pool, device_.index) == cudaSuccess) cudaMemPoolTrimTo(pool, 0);
  cudaGetLastError();
}
void Stream::upload(void* device, const void* host, size_t bytes) {
  verify(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, raw(*this)), "copying to the device");
}
void Stream::download(void* host, const void* device, size_t bytes) {
  verify(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, raw(*this)), "copying to the host");
}
void Stream::fill(void* device, int byte, size_t bytes) {
  verify(cudaMemsetAsync(device, byte, bytes, raw(*this)), "filling device memory");
}

Event::Event(const DeviceInfo& device) {
  verify(cudaSetDevice(device.index), "choosing the device");
  cudaEvent_t event;
  verify(cudaEventCreateWithFlags(&event, cudaEventBlockingSync), "creating an event");
  handle_ = event;
}
Event::~Event() {
  cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
  cudaGetLastError();
}
void Event::record(Stream& stream) {
  verify(cudaEventRecord(static_cast<cudaEvent_t>(handle_), raw(stream)), "recording an event");
}
void Event::make_wait(Stream& stream) {
  verify(cudaStreamWaitEvent(raw(stream), static_cast<cudaEvent_t>(handle_), 0), "waiting for an event");
}
void Event::wait() const {
  verify(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "running kernels");
}
float Event::elapsed_ms(const Event& earlier) const {
  const auto end = static_cast<cudaEvent_t>(handle_);
  verify(cudaEventSynchronize(end), "waiting for an event");
  float ms = 0;
  verify(cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(earlier.handle_), end), "measuring time");
  return ms;
}

DeviceMemory::DeviceMemory(Stream& stream, size_t bytes) : bytes_(bytes), stream_(&stream) {
  if (bytes) verify(cudaMallocAsync(&data_, bytes, raw(stream)), "allocating device memory");
}
DeviceMemory::~DeviceMemory() {
  if (data_) cudaFreeAsync(data_, raw(*stream_));
  data_ = nullptr;
}
DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      stream_(other.stream_) {}
DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_), std::swap(stream_, other.stream_);
  return *this;
}

PinnedMemory::PinnedMemory(size_t bytes) : bytes_(bytes) {
  if (bytes) verify(cudaHostAlloc(&data_, bytes, cudaHostAllocDefault), "allocating page-locked memory");
}
PinnedMemory::~PinnedMemory() {
  if (data_) cudaFreeHost(data_);
}
PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
  return *this;
}

Recording::~Recording() {
  if (executable_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
}
void Recording::begin(Stream& stream) {
  // Relaxed: kernels may be loaded while they are recorded for the first time.
  verify(cudaStreamBeginCapture(raw(stream), cudaStreamCaptureModeRelaxed), "starting a recording");
}
void Recording::end(Stream& stream) {
  cudaGraph_t graph;
  verify(cudaStreamEndCapture(raw(stream), &graph), "ending a recording");
  cudaGraphExec_t executable;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  verify(status, "preparing a recording");
  if (executable_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
  executable_ = executable;
}
void Recording::replay(Stream& stream) {
  verify(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), raw(stream)), "replaying a recording");
}

}  // namespace ups::cuda
