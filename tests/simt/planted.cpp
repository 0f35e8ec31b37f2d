// Planted bugs: each kernel below is wrong on purpose, and the emulator must say so. Its correct twin, the
// same kernel with Bug::none, must pass under every schedule.
#include <cmath>
#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "kernels/device/copy.cuh"
#include "kernels/device/reduce.cuh"
#include "kernels/device/wgmma.cuh"
#include "tests/simt/planted.h"

#if defined(__SANITIZE_ADDRESS__)
#define UPS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UPS_ASAN 1
#endif
#endif

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

enum class Bug { none, first_barrier, second_barrier, divergence, early_exit, wait, lax_wait, order };

int count_nan(const simt::Buffer<float>& b, size_t first, size_t count) {
  int found = 0;
  for (size_t i = first; i < first + count; i++) found += std::isnan(b[i]);
  return found;
}

// Reverses 128 values, `rounds` times, through the same shared array.
struct ReverseSmem {
  float v[kThreads];
};
__global__ void reverse(const float* in, float* out, int rounds, Bug bug) {
  ReverseSmem& s = shared<ReverseSmem>();
  const int t = int(threadIdx.x);
  float v = in[blockIdx.x * kThreads + t];
  for (int i = 0; i < rounds; i++) {
    s.v[t] = v + 1;
    if (bug != Bug::first_barrier) __syncthreads();
    v = s.v[kThreads - 1 - t];
    if (bug != Bug::second_barrier) __syncthreads();
  }
  out[blockIdx.x * kThreads + t] = v;
}

struct ReverseCase {
  simt::Buffer<float> in{2 * kThreads}, out{2 * kThreads};
  ReverseCase() {
    for (size_t i = 0; i < in.size(); i++) in[i] = float(i);
  }
  bool right(int rounds) {
    for (int b = 0; b < 2; b++)
      for (int t = 0; t < kThreads; t++) {
        const int from = rounds % 2 ? kThreads - 1 - t : t;
        if (out[size_t(b * kThreads + t)] != float(b * kThreads + from + rounds)) return false;
      }
    return true;
  }
};

// Each thread copies 4 floats through shared memory in two stages.
struct StagedSmem {
  alignas(16) float v[2][kThreads * 4];
};
__global__ void staged(const float* in, float* out, int chunks, Bug bug) {
  StagedSmem& s = shared<StagedSmem>();
  const int t = int(threadIdx.x);
  auto fetch = [&](int c) {
    if (c < chunks) copy_async<16>(&s.v[c % 2][4 * t], in + (c * kThreads + t) * 4);
    copy_commit();
  };
  fetch(0);
  for (int c = 0; c < chunks; c++) {
    if (bug == Bug::order) fetch(c + 1);  // before others have read what it overwrites
    if (bug != Bug::wait) {
      if (bug == Bug::order || bug == Bug::lax_wait)
        copy_wait<1>();
      else
        copy_wait<0>();
    }
    __syncthreads();
    if (bug != Bug::order) fetch(c + 1);
    const int other = kThreads - 1 - t;
    for (int i = 0; i < 4; i++) out[(c * kThreads + t) * 4 + i] = s.v[c % 2][4 * other + i];
  }
}

__global__ void divergent(float* out, Bug bug) {
  const int t = int(threadIdx.x);
  if (bug == Bug::early_exit && t >= 96) return;
  if (bug == Bug::divergence && t < 64)
    __syncthreads();
  else
    __syncthreads();
  out[blockIdx.x * kThreads + t] = 1;
}

struct SmallSmem {
  float v[8];
};
__global__ void store_out_of_bounds(float* out, int shared_index, int global_index) {
  SmallSmem& s = shared<SmallSmem>();
  if (threadIdx.x == 0) {
    volatile float* v = s.v;
    v[shared_index] = 1;
    volatile float* o = out;
    o[global_index] = 1;
  }
}

// One thread produces by bulk copies, all consume.
struct BulkSmem {
  alignas(128) float v[2][kThreads];
  uint64_t full[2], empty[2];
};
__global__ void bulk(const float* in, float* out, int chunks, Bug bug) {
  BulkSmem& s = shared<BulkSmem>();
  const int t = int(threadIdx.x);
  if (t == 0)
    for (int i = 0; i < 2; i++) mbarrier_init(&s.full[i], 1), mbarrier_init(&s.empty[i], kThreads - 32);
  __syncthreads();
  if (warp_index() == 0) {
    for (int c = 0; c < chunks; c++) {
      if (c >= 2 && bug != Bug::order) mbarrier_wait(&s.empty[c % 2], c / 2 + 1);
      if (t == 0) {
        mbarrier_arrive_expect(&s.full[c % 2], sizeof s.v[0]);
        bulk_copy(s.v[c % 2], in + c * kThreads, sizeof s.v[0], &s.full[c % 2]);
      }
      __syncwarp();
    }
  } else {
    for (int c = 0; c < chunks; c++) {
      if (bug != Bug::wait) mbarrier_wait(&s.full[c % 2], c / 2);
      for (int i = t - 32; i < kThreads; i += kThreads - 32)
        out[c * kThreads + i] = s.v[c % 2][kThreads - 1 - i];
      if (bug != Bug::early_exit) mbarrier_arrive(&s.empty[c % 2]);
    }
  }
}

}  // namespace

TEST_CASE("the emulator runs correct barriers under every schedule", "[simt][planted]") {
  for_each_schedule([](simt::Schedule) {
    for (int rounds : {1, 2, 3}) {
      ReverseCase c;
      launch_blocks(2, reverse, sizeof(ReverseSmem), c.in.data(), c.out.data(), rounds, Bug::none);
      CHECK(c.right(rounds));
    }
  });
}

TEST_CASE("a missing barrier before reading shared memory shows as NaN", "[simt][planted]") {
  for_each_schedule([](simt::Schedule) {
    ReverseCase c;
    launch_blocks(2, reverse, sizeof(ReverseSmem), c.in.data(), c.out.data(), 1, Bug::first_barrier);
    // In the second block, too: what the first left in shared memory is gone.
    for (size_t b = 0; b < 2; b++) CHECK(count_nan(c.out, b * kThreads, kThreads) > 0);
  });
}

TEST_CASE("a missing barrier before overwriting shared memory shows under a greedy schedule",
          "[simt][planted]") {
  int wrong = 0;
  for_each_schedule([&](simt::Schedule) {
    ReverseCase c;
    launch_blocks(2, reverse, sizeof(ReverseSmem), c.in.data(), c.out.data(), 2, Bug::second_barrier);
    wrong += !c.right(2);
  });
  CHECK(wrong >= 1);
}

TEST_CASE("cp.async pipelines: right under every schedule, a missing wait or a WAR race is caught",
          "[simt][planted]") {
  constexpr int kChunks = 5;
  simt::Buffer<float> in(kChunks * kThreads * 4), out(kChunks * kThreads * 4);
  for (size_t i = 0; i < in.size(); i++) in[i] = float(i);
  auto right = [&] {
    bool same = true;
    for (int c = 0; c < kChunks; c++)
      for (int t = 0; t < kThreads; t++)
        for (int i = 0; i < 4; i++)
          same = same && out[size_t((c * kThreads + t) * 4 + i)] ==
                             in[size_t((c * kThreads + kThreads - 1 - t) * 4 + i)];
    return same;
  };
  int races = 0;
  for_each_schedule([&](simt::Schedule) {
    launch_blocks(2, staged, sizeof(StagedSmem), in.data(), out.data(), kChunks, Bug::none);
    CHECK(right());
    launch_blocks(2, staged, sizeof(StagedSmem), in.data(), out.data(), kChunks, Bug::wait);
    CHECK(count_nan(out, 0, out.size()) == int(out.size()));
    // One group too many is left under way: who is first reads undefined values, not those before them.
    launch_blocks(2, staged, sizeof(StagedSmem), in.data(), out.data(), kChunks, Bug::lax_wait);
    for (size_t c = 0; c < kChunks; c++) CHECK(count_nan(out, c * kThreads * 4, kThreads * 4) > 0);
    launch_blocks(2, staged, sizeof(StagedSmem), in.data(), out.data(), kChunks, Bug::order);
    races += !right();
  });
  CHECK(races >= 1);
}

TEST_CASE("divergent barriers and early exits are reported with the threads' whereabouts",
          "[simt][planted]") {
  for_each_schedule([](simt::Schedule) {
    simt::Buffer<float> out(2 * kThreads);
    CHECK(fault_of([&] { launch_blocks(2, divergent, 0, out.data(), Bug::none); }).empty());
    const std::string two_sites =
        fault_of([&] { launch_blocks(2, divergent, 0, out.data(), Bug::divergence); });
    CHECK_THAT(two_sites, Catch::Contains("divergence") && Catch::Contains("block (0, 0, 0)"));
    const std::string exited = fault_of([&] { launch_blocks(2, divergent, 0, out.data(), Bug::early_exit); });
    CHECK_THAT(exited, Catch::Contains("deadlock") && Catch::Contains("0..95 wait for __syncthreads") &&
                           Catch::Contains("96..127 exited"));
  });
}

TEST_CASE("out-of-bounds stores to shared and global memory are caught", "[simt][planted]") {
  simt::Buffer<float> out(16);
  const std::pair<int, int> bad[] = {{8, 0}, {-1, 0}, {300, 0}, {0, 16}, {0, -1}, {0, 100}};
  CHECK(
      fault_of([&] { launch_blocks(2, store_out_of_bounds, sizeof(SmallSmem), out.data(), 7, 15); }).empty());
  for (const auto& at : bad) {
    const int shared_index = at.first, global_index = at.second;
    INFO("shared " << shared_index << " global " << global_index);
#if UPS_ASAN && defined(__unix__)
    const pid_t child = fork();  // the sanitizer ends the process
    if (child == 0) {
      close(2);
      launch_blocks(2, store_out_of_bounds, sizeof(SmallSmem), out.data(), shared_index, global_index);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status != 0);
#else
    const std::string fault = fault_of([&] {
      launch_blocks(2, store_out_of_bounds, sizeof(SmallSmem), out.data(), shared_index, global_index);
    });
    CHECK_THAT(fault, Catch::Contains(shared_index ? "shared memory" : "a buffer of 64 bytes"));
#endif
  }
}

TEST_CASE("an asynchronous copy that reads past a buffer is caught", "[simt][planted]") {
  simt::Buffer<float> in(2 * kThreads * 4), out(3 * kThreads * 4);
  const std::string fault =
      fault_of([&] { launch_blocks(2, staged, sizeof(StagedSmem), in.data(), out.data(), 3, Bug::none); });
  CHECK_THAT(fault, Catch::Contains("cp.async: reads 16 bytes outside of any buffer"));
}

TEST_CASE("shared memory larger than launched is refused", "[simt][planted]") {
  ReverseCase c;
  const std::string fault =
      fault_of([&] { launch_blocks(2, reverse, 64, c.in.data(), c.out.data(), 1, Bug::none); });
  CHECK_THAT(fault, Catch::Contains("shared<T>() of 512 bytes, launched with 64"));
}

TEST_CASE("mbarrier pipelines: right under every schedule, missing waits are caught", "[simt][planted]") {
  constexpr int kChunks = 7;
  simt::Buffer<float> in(kChunks * kThreads), out(kChunks * kThreads);
  for (size_t i = 0; i < in.size(); i++) in[i] = float(i);
  auto right = [&] {
    bool same = true;
    for (int c = 0; c < kChunks; c++)
      for (int t = 0; t < kThreads; t++)
        same = same && out[size_t(c * kThreads + t)] == in[size_t(c * kThreads + kThreads - 1 - t)];
    return same;
  };
  auto run = [&](Bug bug) {
    simt::poison(out.data(), out.size() * 4);
    return fault_of([&] { launch_blocks(1, bulk, sizeof(BulkSmem), in.data(), out.data(), kChunks, bug); });
  };
  int overruns = 0;
  for_each_schedule([&](simt::Schedule) {
    CHECK(run(Bug::none).empty());
    CHECK(right());
    CHECK((!run(Bug::wait).empty() || count_nan(out, 0, out.size()) > 0));
    overruns += !run(Bug::order).empty() || !right();
    CHECK_THAT(run(Bug::early_exit), Catch::Contains("deadlock") && Catch::Contains("an mbarrier"));
  });
  CHECK(overruns >= 1);
}
