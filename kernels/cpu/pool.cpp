// Pool: workers spin briefly for the next job, then sleep on a futex (std::atomic wait).
//
// A job is open while its caller still takes indices. A worker joins an open job by counting itself in; the
// caller closes the job and waits only for workers that joined, so one that wakes late costs nothing.
//
// Each thread begins with an equal share of consecutive indices, and takes from the ends of others' shares
// when its own is done. So a thread works on the same rows of an image in layer after layer and finds them in
// its own caches: with cores on different dies, rows that alternate between threads cost up to the whole gain
// of the second.
#include "kernels/cpu/pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace ups {
namespace {

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int available_cores() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, int(std::thread::hardware_concurrency()));
}

constexpr int kSpins = 4000;  // about 100 us: longer than the serial gaps between two layers

// Indices left of one thread's share: begin << 32 | end. Its owner takes the first, others the last.
struct alignas(64) Share {
  std::atomic<uint64_t> left{0};

  void set(uint32_t begin, uint32_t end) {
    left.store(uint64_t(begin) << 32 | end, std::memory_order_relaxed);
  }

  // -1 if there is none
  int take(bool first) {
    uint64_t s = left.load(std::memory_order_relaxed);
    for (;;) {
      const uint32_t begin = uint32_t(s >> 32), end = uint32_t(s);
      if (begin >= end) return -1;
      const uint64_t rest = first ? s + (uint64_t(1) << 32) : s - 1;
      if (left.compare_exchange_weak(s, rest, std::memory_order_relaxed)) return int(first ? begin : end - 1);
    }
  }
};

}  // namespace

struct Pool::Impl {
  // state = epoch << 32 | open << 31 | workers inside
  static constexpr uint64_t kOpen = uint64_t(1) << 31, kEpoch = uint64_t(1) << 32;
  static constexpr uint64_t kInside = kOpen - 1;
  alignas(64) std::atomic<uint64_t> state{0};
  alignas(64) std::atomic<uint32_t> signal{0};  // what sleepers wait on
  std::atomic<bool> quit{false};
  const std::function<void(int, int)>* fn = nullptr;
  std::mutex mutex;
  std::exception_ptr error;
  std::vector<std::thread> workers;
  std::vector<Share> shares;  // one per thread

  void work(int thread) {
    const int threads = int(shares.size());
    for (int k = 0; k < threads; k++) {  // the own share, then those of the next threads
      Share& share = shares[(thread + k) % threads];
      for (int i; (i = share.take(k == 0)) >= 0;) {
        try {
          (*fn)(i, thread);
        } catch (...) {
          std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
          for (Share& other : shares) other.set(0, 0);
        }
      }
    }
  }

  void loop(int thread) {
    uint64_t seen = 0;  // epoch of the last job joined or found closed
    for (;;) {
      const uint32_t ticket = signal.load(std::memory_order_acquire);
      uint64_t s = state.load(std::memory_order_acquire);
      for (int spin = 0; s / kEpoch == seen && spin < kSpins; spin++) {
        relax();
        s = state.load(std::memory_order_acquire);
      }
      if (quit.load(std::memory_order_acquire)) return;
      if (s / kEpoch == seen) {
        signal.wait(ticket, std::memory_order_acquire);
        continue;
      }
      while ((s & kOpen) && !state.compare_exchange_weak(s, s + 1, std::memory_order_acq_rel)) relax();
      seen = s / kEpoch;
      if (!(s & kOpen)) continue;
      work(thread);
      state.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
};

Pool::Pool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads <= 0) threads = available_cores();
  if (const char* most = std::getenv("UPSCALE_MAX_THREADS"))  // e.g. 1 where an emulator cannot start threads
    threads = std::clamp(std::atoi(most), 1, threads);
  impl_->shares = std::vector<Share>(threads);
  for (int t = 1; t < threads; t++) impl_->workers.emplace_back([this, t] { impl_->loop(t); });
}

Pool::~Pool() {
  impl_->quit.store(true, std::memory_order_release);
  impl_->signal.fetch_add(1, std::memory_order_seq_cst);
  impl_->signal.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

int Pool::threads() const { return int(impl_->workers.size()) + 1; }

void Pool::for_each(int n, const std::function<void(int, int)>& fn) {
  if (n <= 0) return;
  if (n == 1 || impl_->workers.empty()) {
    for (int i = 0; i < n; i++) fn(i, 0);
    return;
  }
  Impl& job = *impl_;
  job.fn = &fn;
  const int64_t threads = int64_t(job.shares.size());
  for (int64_t t = 0; t < threads; t++)
    job.shares[t].set(uint32_t(n * t / threads), uint32_t(n * (t + 1) / threads));
  const uint64_t epoch = job.state.load(std::memory_order_relaxed) / Impl::kEpoch + 1;
  job.state.store(epoch * Impl::kEpoch | Impl::kOpen, std::memory_order_release);
  job.signal.fetch_add(1, std::memory_order_seq_cst);
  job.signal.notify_all();
  job.work(0);
  job.state.fetch_and(~Impl::kOpen, std::memory_order_acq_rel);
  for (int spin = 0; job.state.load(std::memory_order_acquire) & Impl::kInside; spin++) {
    if (spin < 20000)
      relax();
    else
      std::this_thread::yield();  // the worker lost its core: let it have this one
  }
  if (job.error) std::rethrow_exception(std::exchange(job.error, nullptr));
}

}  // namespace ups
