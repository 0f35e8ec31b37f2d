// The host SIMT emulator: runs kernels written with kernels/device/*.cuh as plain C++, without a GPU.
//
// The threads of a block are fibers on one OS thread; blocks run one after the other. Every collective
// (barrier, shuffle, ldmatrix, mma, wgmma) is one primitive: N threads meet, and the last one runs the
// operation for all. The emulator is stricter than hardware:
//   - shared memory is filled with NaN before each block, and surrounded by red zones;
//   - asynchronous copies and wgmma land as late as the model allows; until then their destination is NaN,
//   and
//     factors of wgmma must not change;
//   - vector loads and stores must be aligned (alignment.cpp);
//   - barriers must be reached by all threads at the same source line;
//   - schedules differ in who runs first: a race that one of them hides, another shows.
// What it cannot show: timing, bank conflicts, weak memory order, missing cross-proxy fences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Index3 {
  unsigned x = 1, y = 1, z = 1;
};
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace simt {

// Who runs next whenever a thread has to wait: the next or previous one in turn, or always the first or last
// one that can ("greedy": one warp runs far ahead of the others).
enum class Schedule { fair, fair_reversed, greedy_up, greedy_down };
constexpr Schedule kSchedules[] = {Schedule::fair, Schedule::fair_reversed, Schedule::greedy_up,
                                   Schedule::greedy_down};
const char* schedule_name(Schedule s);
void set_schedule(Schedule s);
// Asynchronous copies arrive as soon as any thread waits, instead of when none can go on without one: who
// runs ahead then gets farther.
void set_early_copies(bool early);

// What a kernel did wrong, as a sentence that names block and threads.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs `body` once per thread of the grid. Throws Fault. At most 1024 threads per block.
void run(Index3 grid, unsigned block, size_t smem_bytes, const std::function<void()>& body);

// Work of a stream: done at once, or kept if the stream is being recorded (tests/simt/stream.cpp).
void submit(void* stream, std::function<void()> work);

// Streams do their work as late as events and waits of the host allow, instead of at once: work of one stream
// that needs another's and does not wait for it then reads what is not there yet.
void set_late_streams(bool late);
// Streams that exist.
int streams();
// Device memory in all; 0: no limit. What exceeds it fails as on a full device.
void set_memory_limit(size_t bytes);
// Most device memory held at one time since the limit was last set.
size_t peak_memory();

// For device code. fault() ends the launch from inside a thread.
[[noreturn]] void fault(const std::string& sentence);
void* shared_memory(size_t bytes);
// Faults unless [p, p + bytes) lies in the block's shared memory and p is aligned.
void check_shared(const void* p, size_t bytes, size_t alignment, const char* what);
// Faults unless [p, p + bytes) lies in memory from allocate().
void check_global(const void* p, size_t bytes, const char* what);
unsigned thread_index();

// --- Meetings ---------------------------------------------------------------------------------------------
constexpr int kBlock = 0;
// Group of the calling thread: size 32 (warp), 128 (warpgroup) or kBlock. `site`: all must pass the same.
void meet_erased(int size, const char* what, unsigned site, void* lane, void (*operation)(void** lanes, int));

template <int Size, class Lane, class Operation>
void meet(const char* what, Lane lane, Operation, unsigned site = 0) {
  static_assert(Size == kBlock || Size == 32 || Size == 128);
  meet_erased(Size, what, site, &lane, [](void** lanes, int count) {
    (void)count;
    Operation{}(reinterpret_cast<Lane**>(lanes));
  });
}

// bar.sync id, threads: `threads` threads of the block meet, whoever they are.
void named_barrier(int id, int threads);

// --- Asynchronous copies of one thread (cp.async) -------------------------------------------------------
// dst: shared, `bytes` long; the first src_bytes come from src, the rest is zero.
void copy_async(void* dst, const void* src, int bytes, int src_bytes);
void copy_commit();
void copy_wait(int newest_groups_left);
// One arrival on the mbarrier once all copies this thread has begun are in; nobody waits for them otherwise.
void copy_arrive(uint64_t* barrier);

// --- mbarrier: a phase completes when all arrivals and all announced bytes are in -----------------------
void mbarrier_init(uint64_t* barrier, unsigned arrivals);
void mbarrier_arrive(uint64_t* barrier, unsigned expected_bytes);  // one arrival
// Waits until the phase of the given parity has completed.
void mbarrier_wait(uint64_t* barrier, unsigned parity);
// Calls land() and completes `bytes` on the barrier once no thread can run without them.
void land_later(uint64_t* barrier, unsigned bytes, std::function<void()> land);
void poison(void* p, size_t bytes);

// --- wgmma: queued per warpgroup, computed when waited for ----------------------------------------------
// acc: one pointer per lane to `count` floats, which are NaN until the group has been waited for.
void wgmma_queue(float** acc, int count, std::function<void(float** acc)> compute);
void wgmma_commit();
void wgmma_wait(int newest_groups_left);

// --- Global memory with red zones, checked after every launch -------------------------------------------
void* allocate(size_t bytes);
void release(void* p);

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) : data_(static_cast<T*>(allocate(count * sizeof(T)))), count_(count) {}
  ~Buffer() { release(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_;
  size_t count_;
};

}  // namespace simt

// --- CUDA's own names that kernels use ------------------------------------------------------------------
inline void __syncthreads(unsigned line = __builtin_LINE()) {
  simt::meet<simt::kBlock>(
      "__syncthreads", 0, [](int**) {}, line);
}
inline void __syncwarp(unsigned line = __builtin_LINE()) {
  simt::meet<32>(
      "__syncwarp", 0, [](int**) {}, line);
}
constexpr int min(int a, int b) { return a < b ? a : b; }
constexpr int max(int a, int b) { return a > b ? a : b; }
