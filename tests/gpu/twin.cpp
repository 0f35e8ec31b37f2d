// tests/device/twin.h on a GPU: plain allocations, so that compute-sanitizer knows the exact end of each.
#include "tests/device/twin.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <stdexcept>

#include "kernels/error.h"

namespace ups::testing {
namespace {

// 0xFF bytes are NaN as f32, f16 and bf16: what a kernel reads there shows in its result.
constexpr unsigned char kGuard = 0xFF;

size_t guard_bytes() { return under_sanitizer() ? 0 : 4096; }

void verify(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(Code::device, "test: ", doing, " failed: ", cudaGetErrorString(status));
}

std::map<void*, size_t>& allocations() {
  static std::map<void*, size_t> all;
  return all;
}

void check_guard(const unsigned char* device, const char* where) {
  std::vector<unsigned char> bytes(guard_bytes());
  verify(cudaMemcpy(bytes.data(), device, bytes.size(), cudaMemcpyDeviceToHost), "reading a guard");
  for (size_t i = 0; i < bytes.size(); i++)
    if (bytes[i] != kGuard) {
      std::ostringstream sentence;
      sentence << "a kernel wrote " << where << " a buffer, at byte " << i << " of its guard";
      throw std::runtime_error(sentence.str());
    }
}

}  // namespace

bool under_sanitizer() {
  static const char* setting = std::getenv("UPS_TEST_GUARD");
  return setting && std::string(setting) == "0";
}

const cuda::DeviceInfo& test_device() {
  static const cuda::DeviceInfo device = cuda::devices().at(0);
  return device;
}

cuda::Stream& test_stream() {
  static cuda::Stream* stream = new cuda::Stream(test_device());  // outlives whatever is destroyed at exit
  return *stream;
}

void* twin_allocate(size_t bytes) {
  void* whole = nullptr;
  test_stream();  // chooses the device
  verify(cudaMalloc(&whole, bytes + 2 * guard_bytes()), "allocating");
  verify(cudaMemset(whole, kGuard, bytes + 2 * guard_bytes()), "filling");
  verify(cudaDeviceSynchronize(), "filling");
  void* device = static_cast<unsigned char*>(whole) + guard_bytes();
  allocations()[device] = bytes;
  return device;
}

void twin_release(void* device) {
  if (!device) return;
  allocations().erase(device);
  cudaFree(static_cast<unsigned char*>(device) - guard_bytes());
}

// The streams under test do not wait for the default stream, and a copy from pageable memory may return
// before it has arrived: hence a wait on both sides.
void twin_upload(void* device, const void* host, size_t bytes) {
  verify(cudaDeviceSynchronize(), "running kernels");
  verify(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "copying to the device");
  verify(cudaDeviceSynchronize(), "copying to the device");
}

void twin_download(void* host, const void* device, size_t bytes) {
  verify(cudaDeviceSynchronize(), "running kernels");
  verify(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "copying to the host");
  const auto found = allocations().find(const_cast<void*>(device));
  if (!guard_bytes() || found == allocations().end()) return;
  check_guard(static_cast<const unsigned char*>(device) - guard_bytes(), "before");
  check_guard(static_cast<const unsigned char*>(device) + found->second, "behind");
}

}  // namespace ups::testing
