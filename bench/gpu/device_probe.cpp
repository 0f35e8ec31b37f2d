// device_probe.h
#include "bench/gpu/device_probe.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace ups::bench {
namespace {

int g_repeats = 0;
std::vector<double> g_times;
DeviceUse g_use;
int64_t g_driver_peak = 0;

std::unordered_map<void*, size_t>& sizes() {
  static auto* all = new std::unordered_map<void*, size_t>;  // outlives frees at exit
  return *all;
}

void allocated(void* p, size_t bytes) {
  sizes()[p] = bytes;
  g_use.live += int64_t(bytes);
  g_use.peak = std::max(g_use.peak, g_use.live);
  g_driver_peak = std::max(g_driver_peak, driver_used_bytes());
}
void released(void* p) {
  const auto found = sizes().find(p);
  if (found == sizes().end()) return;
  g_use.live -= int64_t(found->second);
  sizes().erase(found);
}

}  // namespace

void probe_graphs(int repeats) { g_repeats = repeats; }
std::vector<double> take_graph_times() { return std::exchange(g_times, {}); }
DeviceUse device_use() { return g_use; }
void reset_peak() {
  g_use.peak = g_use.live;
  g_driver_peak = driver_used_bytes();
}
int64_t driver_used_bytes() {
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0;
  return int64_t(total) - int64_t(free);
}
int64_t driver_peak_bytes() { return std::max(g_driver_peak, driver_used_bytes()); }
namespace {
std::string version_text(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }
}  // namespace
std::string runtime_version() {
  int v = 0;
  cudaRuntimeGetVersion(&v);
  return version_text(v);
}
std::string driver_cuda_version() {
  int v = 0;
  cudaDriverGetVersion(&v);
  return version_text(v);
}
void trim_pool() {
  cudaDeviceSynchronize();
  cudaMemPool_t pool;
  if (cudaDeviceGetDefaultMemPool(&pool, 0) == cudaSuccess) cudaMemPoolTrimTo(pool, 0);
}

}  // namespace ups::bench

using namespace ups::bench;

extern "C" {

cudaError_t __real_cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t __wrap_cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  if (g_repeats <= 0) return __real_cudaGraphLaunch(graph, stream);
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  cudaError_t status = __real_cudaGraphLaunch(graph, stream);  // warm
  cudaEventRecord(begin, stream);
  for (int i = 0; i < g_repeats && status == cudaSuccess; i++) status = __real_cudaGraphLaunch(graph, stream);
  cudaEventRecord(end, stream);
  float ms = 0;
  if (status == cudaSuccess && cudaEventSynchronize(end) == cudaSuccess &&
      cudaEventElapsedTime(&ms, begin, end) == cudaSuccess)
    g_times.push_back(double(ms) / g_repeats);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return status;
}

cudaError_t __real_cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream);
cudaError_t __wrap_cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream) {
  const cudaError_t status = __real_cudaMallocAsync(p, bytes, stream);
  if (status == cudaSuccess) allocated(*p, bytes);
  return status;
}
cudaError_t __real_cudaFreeAsync(void* p, cudaStream_t stream);
cudaError_t __wrap_cudaFreeAsync(void* p, cudaStream_t stream) {
  released(p);
  return __real_cudaFreeAsync(p, stream);
}
cudaError_t __real_cudaMalloc(void** p, size_t bytes);
cudaError_t __wrap_cudaMalloc(void** p, size_t bytes) {
  const cudaError_t status = __real_cudaMalloc(p, bytes);
  if (status == cudaSuccess) allocated(*p, bytes);
  return status;
}
cudaError_t __real_cudaFree(void* p);
cudaError_t __wrap_cudaFree(void* p) {
  released(p);
  return __real_cudaFree(p);
}

}  // extern "C"
