// Pool: workers spin briefly for the next job, then sleep on a futex (std::atomic wait).
//
// The caller waits until all indices are done, not for threads: one that wakes late finds nothing left and
// costs nothing. Whoever took an index belongs to the current job, which cannot end before that index is
// done. So a thread writes no memory that all share but once, when its share is done.
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

#include "kernels/cpu/cores.h"
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

constexpr int kSpins = 4000;  // about 100 us: longer than the serial gaps between two layers

// Indices left of one thread's share: begin << 32 | end. Its owner takes the first, others the last.
struct alignas(64) Share {
  std::atomic<uint64_t> left{0};

  void set(uint32_t begin, uint32_t end) {
    left.store(uint64_t(begin) << 32 | end, std::memory_order_release);
  }

  // Takes all; returns how many.
  uint32_t drain() {
    const uint64_t s = left.exchange(0, std::memory_order_acquire);
    return uint32_t(s) - uint32_t(s >> 32);
  }

  // -1 if there is none
  int take(bool first) {
    uint64_t s = left.load(std::memory_order_relaxed);
    for (;;) {
      const uint32_t begin = uint32_t(s >> 32), end = uint32_t(s);
      if (begin >= end) return -1;
      const uint64_t rest = first ? s + (uint64_t(1) << 32) : s - 1;
      if (left.compare_exchange_weak(s, rest, std::memory_order_acquire, std::memory_order_relaxed))
        return int(first ? begin : end - 1);
    }
  }
};

}  // namespace

struct Pool::Impl {
  alignas(64) std::atomic<uint32_t> jobs{0};  // how many there were: what workers wait for
  std::atomic<bool> quit{false};
  const std::function<void(int, int)>* fn = nullptr;  // of the current job; for those who took an index of it
  alignas(64) std::atomic<uint32_t> done{0};          // indices of the current job
  std::mutex mutex;
  std::exception_ptr error;
  std::vector<std::thread> workers;
  std::vector<Share> shares;  // one per thread

  void work(int thread) {
    const int threads = int(shares.size());
    for (int k = 0; k < threads; k++) {  // the own share, then those of the next threads
      Share& share = shares[(thread + k) % threads];
      uint32_t count = 0;
      for (int i; (i = share.take(k == 0)) >= 0;) {
        count++;
        try {
          (*fn)(i, thread);
        } catch (...) {
          std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
          for (Share& other : shares) count += other.drain();
        }
      }
      if (count > 0) done.fetch_add(count, std::memory_order_acq_rel);
    }
  }

  void loop(int thread) {
    uint32_t seen = 0;
    for (;;) {
      uint32_t now = jobs.load(std::memory_order_acquire);
      for (int spin = 0; now == seen && spin < kSpins; spin++) {
        relax();
        now = jobs.load(std::memory_order_acquire);
      }
      if (quit.load(std::memory_order_acquire)) return;
      if (now == seen) {
        jobs.wait(seen, std::memory_order_acquire);
        continue;
      }
      seen = now;
      work(thread);
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
  impl_->jobs.fetch_add(1, std::memory_order_seq_cst);
  impl_->jobs.notify_all();
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
  job.done.store(0, std::memory_order_relaxed);
  const int64_t threads = int64_t(job.shares.size());
  for (int64_t t = 0; t < threads; t++)
    job.shares[t].set(uint32_t(n * t / threads), uint32_t(n * (t + 1) / threads));
  job.jobs.fetch_add(1, std::memory_order_seq_cst);
  job.jobs.notify_all();
  job.work(0);
  for (int spin = 0; job.done.load(std::memory_order_acquire) != uint32_t(n); spin++) {
    if (spin < 20000)
      relax();
    else
      std::this_thread::yield();  // the worker lost its core: let it have this one
  }
  if (job.error) std::rethrow_exception(std::exchange(job.error, nullptr));
}

}  // namespace ups
