// tests/device/twin.h in the emulator.
#include "tests/device/twin.h"

namespace ups::testing {

const cuda::DeviceInfo& test_device() {
  static const cuda::DeviceInfo device = cuda::devices().front();
  return device;
}
cuda::Stream& test_stream() {
  static cuda::Stream stream(test_device());
  return stream;
}
bool under_sanitizer() { return false; }
void* twin_allocate(size_t bytes) { return simt::allocate(bytes); }
void twin_release(void* device) { simt::release(device); }
void twin_upload(void*, const void*, size_t) {}
void twin_download(void*, const void*, size_t) {}

}  // namespace ups::testing
