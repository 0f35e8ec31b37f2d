// What tests of device kernels need of the place they run in: the host emulator (test_simt) or, with
// UPS_TEST_GPU, a GPU (test_gpu). The same test sources are compiled for both.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/device/device.cuh"
#include "kernels/device/stream.h"
#include "tests/testing.h"
#if !defined(UPS_TEST_GPU)
#include "tests/simt/emulator_test.h"
#endif

namespace ups::testing {

// The device under test, and its stream.
const cuda::DeviceInfo& test_device();
cuda::Stream& test_stream();

// compute-sanitizer slows kernels a hundredfold: UPS_TEST_GUARD=0 says that it is there.
bool under_sanitizer();
// How often to draw a random case.
inline int rounds(int in_emulator, int on_gpu) {
#if defined(UPS_TEST_GPU)
  return under_sanitizer() ? (in_emulator + 2) / 3 : on_gpu;
#else
  (void)on_gpu;
  return in_emulator;
#endif
}

// Device memory; in the emulator between red zones that it checks, on a GPU between guards of NaN that
// download() checks (UPS_TEST_GUARD=0 leaves the guards out, for compute-sanitizer).
void* twin_allocate(size_t bytes);
void twin_release(void* device);
void twin_upload(void* device, const void* host, size_t bytes);
// Throws if a guard was written.
void twin_download(void* host, const void* device, size_t bytes);

#if defined(UPS_TEST_GPU)
constexpr bool kOnGpu = true;
#else
constexpr bool kOnGpu = false;
#endif

// Memory of the device with a copy on the host. In the emulator both are the same bytes.
//   b[i] reads and writes the copy; upload() and download() move all of it; data() is the device's address.
template <class T>
class Twin {
 public:
  explicit Twin(size_t count) : count_(count), device_(static_cast<T*>(twin_allocate(count * sizeof(T)))) {
    if constexpr (kOnGpu) {
      host_ = std::make_unique<T[]>(count);
      std::memset(static_cast<void*>(host_.get()), 0xFF, count * sizeof(T));
    }
  }
  ~Twin() { twin_release(device_); }
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  T* data() { return device_; }
  T* host() { return kOnGpu ? host_.get() : device_; }
  const T* host() const { return kOnGpu ? host_.get() : device_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return host()[i]; }
  const T& operator[](size_t i) const { return host()[i]; }

  void upload() {
    if constexpr (kOnGpu) twin_upload(device_, host_.get(), count_ * sizeof(T));
  }
  void download() {
    if constexpr (kOnGpu) twin_download(host_.get(), device_, count_ * sizeof(T));
  }
  // NaN, in every format.
  void poison() {
    std::memset(static_cast<void*>(host()), 0xFF, count_ * sizeof(T));
    upload();
  }

 private:
  size_t count_;
  T* device_;
  std::unique_ptr<T[]> host_;
};

// One of the emulator's schedules, another for each round. On a GPU: nothing.
inline void take_schedule(int round) {
#if defined(UPS_TEST_GPU)
  (void)round;
#else
  simt::set_schedule(simt::kSchedules[round % 4]);
#endif
}

// f under every schedule of the emulator; on a GPU once.
template <class F>
void under_each_schedule(F&& f) {
#if defined(UPS_TEST_GPU)
  f();
#else
  for_each_schedule([&](simt::Schedule) { f(); });
#endif
}

// f with copies of the emulator that arrive early, the last thread running far ahead of the others. On a GPU:
// f.
template <class F>
void with_one_far_ahead(F&& f) {
#if !defined(UPS_TEST_GPU)
  struct Restored {
    ~Restored() { simt::set_early_copies(false), simt::set_schedule(simt::Schedule::fair); }
  } restored;
  simt::set_early_copies(true), simt::set_schedule(simt::Schedule::greedy_down);
#endif
  f();
}

inline float round_to(DType d, float v) {
  using namespace ups::cuda;
  return d == DType::f16    ? to_float(from_float<half_t>(v))
         : d == DType::bf16 ? to_float(from_float<bf16_t>(v))
                            : v;
}

// An image in device memory with its copy on the host (`mirror`, same dtype and strides) and its values as
// f32 (`on_host`). Channels outside of the slice are NaN.
struct TwinImage {
  std::vector<float> host;
  std::unique_ptr<Twin<unsigned char>> memory;
  Tensor on_host, on_device, mirror;

  TwinImage() = default;
  // random: null leaves NaN everywhere.
  TwinImage(DType d, int n, int h, int w, int c, int first, int extra, Random* random) {
    const int px = c + extra;
    host.assign(size_t(n) * h * w * px, NAN);
    memory = std::make_unique<Twin<unsigned char>>(host.size() * dtype_bytes(d));
    const Tensor whole_host{host.data(), DType::f32, n, h, w, px, int64_t(h) * w * px, int64_t(w) * px, px};
    Tensor whole_device = whole_host, whole_mirror = whole_host;
    whole_device.data = memory->data(), whole_device.dtype = d;
    whole_mirror.data = memory->host(), whole_mirror.dtype = d;
    on_host = whole_host.channels(first, c), on_device = whole_device.channels(first, c);
    mirror = whole_mirror.channels(first, c);
    memory->poison();
    if (!random) return;
    for (size_t i = 0; i < host.size(); i++) {
      const int ch = int(i % size_t(px)) - first;
      if (ch < 0 || ch >= c) continue;
      host[i] = round_to(d, random->normal());
      cuda::store_element(whole_mirror, int64_t(i), host[i]);
    }
    memory->upload();
  }

  void download() { memory->download(); }
  void upload() { memory->upload(); }
};

}  // namespace ups::testing
