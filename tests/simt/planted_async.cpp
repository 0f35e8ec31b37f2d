// More planted bugs, as in planted.cpp: what is asynchronous or shared by a part of a block, what the memory
// of a device refuses, and that the schedules are as different as simt.h says.
#include <cmath>

#include "kernels/device/copy.cuh"
#include "kernels/device/wgmma.cuh"
#include "tests/simt/planted.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

bool all_nan(const simt::Buffer<float>& b, size_t first, size_t count) {
  for (size_t i = first; i < first + count; i++)
    if (!std::isnan(b[i])) return false;
  return true;
}
bool all_equal(const simt::Buffer<float>& b, size_t first, float v) {
  for (size_t i = first; i < first + kThreads; i++)
    if (b[i] != v) return false;
  return true;
}

// Copies arrive on an mbarrier when they are in; each thread then reads what another copied.
struct ArrivalSmem {
  alignas(16) float v[kThreads][4];
  uint64_t full;
};
enum class Bug { none, wait, init };
__global__ void by_arrivals(const float* in, float* out, Bug bug) {
  ArrivalSmem& s = shared<ArrivalSmem>();
  const int t = int(threadIdx.x);
  if (t == 0 && bug != Bug::init) mbarrier_init(&s.full, kThreads);
  __syncthreads();
  copy_async<16>(s.v[t], in + 4 * t);
  copy_arrive(&s.full);
  __syncthreads();
  if (bug != Bug::wait) mbarrier_wait(&s.full, 0);
  for (int i = 0; i < 4; i++) out[4 * t + i] = s.v[kThreads - 1 - t][i];
}

// Products of 16 ones by 16 ones, each a group of its own. With `changes` a factor is written before the last
// one has been waited for.
struct ProductSmem {
  alignas(128) half_t a[2][64][8], b[2][32][8];
};
__global__ void products(float* out, bool changes) {
  ProductSmem& s = shared<ProductSmem>();
  const int t = int(threadIdx.x);
  for (int i = t; i < 2 * 64 * 8; i += kThreads) s.a[0][0][i] = from_float<half_t>(1);
  for (int i = t; i < 2 * 32 * 8; i += kThreads) s.b[0][0][i] = from_float<half_t>(1);
  fence_async_proxy();
  __syncthreads();
  const uint64_t a = plane_descriptor(s.a, 64 * 16), b = plane_descriptor(s.b, 32 * 16);
  float first[16] = {}, second[16] = {};
  wgmma_fence();
  wgmma_m64k16<half_t, 32>(first, a, b);
  wgmma_commit();
  wgmma_m64k16<half_t, 32>(second, a, b);
  wgmma_commit();
  wgmma_wait<1>();
  out[t] = first[0], out[kThreads + t] = second[0];
  wgmma_m64k16<half_t, 32>(second, a, b);  // onto sums that are still being made
  wgmma_commit();
  wgmma_wait<1>();
  out[2 * kThreads + t] = second[0];
  if (changes) s.a[t % 2][t / 2][0] = from_float<half_t>(3);
  wgmma_wait<0>();
  out[3 * kThreads + t] = second[0];
}

// The first `pairs` warps exchange values in pairs, by a barrier of each pair's own.
struct PairSmem {
  float v[kThreads];
};
__global__ void by_pairs(float* out, int id, int other_id, int threads, bool wait) {
  PairSmem& s = shared<PairSmem>();
  const int t = int(threadIdx.x);
  s.v[t] = float(t);
  if (wait) named_barrier(t < 64 ? id : other_id, t < 64 ? threads : id == other_id ? kThreads : 64);
  out[t] = s.v[t ^ 63];
}

// In which order threads go on after the barriers of their warps: who has come how far when the first is
// done.
struct Order {
  int started = 0, first_done = -1, started_then = 0;
};
__global__ void two_steps(Order* order) {
  order->started++;
  __syncwarp();
  __syncwarp();
  if (order->first_done >= 0) return;
  order->first_done = int(threadIdx.x), order->started_then = order->started;
}

// Thread 0 waits for a bulk copy; how many others have run when it is in.
struct BulkSmem {
  alignas(16) float v[4];
  uint64_t full;
};
__global__ void one_waits(const float* in, Order* order) {
  BulkSmem& s = shared<BulkSmem>();
  order->started++;
  if (threadIdx.x > 0) return;
  mbarrier_init(&s.full, 1);
  mbarrier_arrive_expect(&s.full, sizeof s.v);
  bulk_copy(s.v, in, sizeof s.v, &s.full);
  mbarrier_wait(&s.full, 0);
  order->started_then = order->started;
}

// The bytes that the first arrival announces have not come yet.
__global__ void one_arrival_too_many() {
  BulkSmem& s = shared<BulkSmem>();
  if (threadIdx.x > 0) return;
  mbarrier_init(&s.full, 1);
  mbarrier_arrive_expect(&s.full, sizeof s.v);
  mbarrier_arrive(&s.full);
}

__global__ void misaligned(const float* global, float* out, int shared_offset, int global_offset) {
  ArrivalSmem& s = shared<ArrivalSmem>();
  if (threadIdx.x > 0) return;
  copy_async<16>(&s.v[0][0] + shared_offset, global + global_offset);
  copy_commit();
  copy_wait<0>();
  out[0] = s.v[0][0];
}

__global__ void load_vector(const char* from, float* out) {
  const Vec16 v = *reinterpret_cast<const Vec16*>(from);
  out[threadIdx.x] = float_of_bits(v.v[0]);
}

}  // namespace

TEST_CASE("copies that arrive on an mbarrier are not there before it completes", "[simt][planted]") {
  simt::Buffer<float> in(4 * kThreads), out(4 * kThreads);
  for (size_t i = 0; i < in.size(); i++) in[i] = float(i);
  const auto run = [&](Bug bug) {
    simt::poison(out.data(), out.size() * 4);
    return fault_of([&] { launch_blocks(1, by_arrivals, sizeof(ArrivalSmem), in.data(), out.data(), bug); });
  };
  for_each_schedule([&](simt::Schedule) {
    CHECK(run(Bug::none) == "");
    bool right = true;
    for (int t = 0; t < kThreads; t++)
      for (int i = 0; i < 4; i++)
        right = right && out[size_t(4 * t + i)] == in[size_t(4 * (kThreads - 1 - t) + i)];
    CHECK(right);
    CHECK(run(Bug::wait) == "");
    CHECK(all_nan(out, 0, out.size()));
    CHECK_THAT(run(Bug::init), Catch::Contains("the mbarrier was not initialised"));
  });
  CHECK_THAT(fault_of([] { launch_blocks(1, one_arrival_too_many, sizeof(BulkSmem)); }),
             Catch::Contains("more arrivals than the barrier was initialised for"));
}

TEST_CASE("products of wgmma are undefined until waited for, and no factor may change until then",
          "[simt][planted]") {
  simt::Buffer<float> out(4 * kThreads);
  for_each_schedule([&](simt::Schedule) {
    launch_blocks(1, products, sizeof(ProductSmem), out.data(), false);
    CHECK(all_equal(out, 0, 16));
    CHECK(all_nan(out, kThreads, 2 * kThreads));
    CHECK(all_equal(out, 3 * kThreads, 32));
    const std::string fault =
        fault_of([&] { launch_blocks(1, products, sizeof(ProductSmem), out.data(), true); });
    CHECK_THAT(fault, Catch::Contains("wgmma: a factor was written while it was being read"));
  });
}

TEST_CASE("named barriers: right under every schedule; missing, miscounted and mixed-up ones are caught",
          "[simt][planted]") {
  simt::Buffer<float> out(kThreads);
  const auto run = [&](int id, int other_id, int threads, bool wait = true) {
    return fault_of(
        [&] { launch_blocks(1, by_pairs, sizeof(PairSmem), out.data(), id, other_id, threads, wait); });
  };
  for_each_schedule([&](simt::Schedule) {
    CHECK(run(1, 2, 64) == "");
    bool right = true;
    for (int t = 0; t < kThreads; t++) right = right && out[size_t(t)] == float(t ^ 63);
    CHECK(right);
    CHECK(run(1, 2, 64, false) == "");
    CHECK((std::isnan(out[0]) || std::isnan(out[63])));
    CHECK_THAT(run(1, 2, 96), Catch::Contains("deadlock") && Catch::Contains("named barrier"));
    CHECK_THAT(run(15, 16, 64), Catch::Contains("named barrier 16"));
    CHECK_THAT(run(1, 1, 96), Catch::Contains("for 96 and 128 threads at once") ||
                                  Catch::Contains("for 128 and 96 threads at once"));
    CHECK_THAT(run(1, 2, 50), Catch::Contains("for 50 threads"));
  });
}

TEST_CASE("the schedules differ in who runs first", "[simt][planted]") {
  for_each_schedule([](simt::Schedule schedule) {
    Order order;
    launch_blocks(1, two_steps, 0, &order);
    const bool greedy = schedule == simt::Schedule::greedy_up || schedule == simt::Schedule::greedy_down,
               up = schedule == simt::Schedule::fair || schedule == simt::Schedule::greedy_up;
    CHECK(order.started_then == (greedy ? 32 : kThreads));
    CHECK(order.first_done / 32 == (up ? 0 : 3));
  });
}

TEST_CASE("copies arrive when nobody can go on without them, or early where asked", "[simt][planted]") {
  simt::Buffer<float> in(4);
  for (size_t i = 0; i < 4; i++) in[i] = 1;
  simt::set_schedule(simt::Schedule::greedy_up);
  for (bool early : {false, true}) {
    simt::set_early_copies(early);
    Order order;
    launch_blocks(1, one_waits, sizeof(BulkSmem), in.data(), &order);
    CHECK(order.started_then == (early ? 1 : kThreads));
  }
  simt::set_early_copies(false), simt::set_schedule(simt::Schedule::fair);
}

TEST_CASE("misaligned copies are caught, and so are launches that no device would take", "[simt][planted]") {
  simt::Buffer<float> in(8), out(1);
  CHECK(std::isnan(in[7]));  // fresh memory holds nothing
  const auto run = [&](size_t smem_bytes, int shared_offset, int global_offset) {
    return fault_of([&] {
      launch_blocks(1, misaligned, smem_bytes, in.data(), out.data(), shared_offset, global_offset);
    });
  };
#if defined(UPS_SIMT_ALIGNMENT)
  simt::Buffer<float> sums(kThreads);
  const char* bytes = reinterpret_cast<const char*>(in.data());
  CHECK(fault_of([&] { launch_blocks(1, load_vector, 0, bytes + 16, sums.data()); }) == "");
  CHECK_THAT(fault_of([&] { launch_blocks(1, load_vector, 0, bytes + 4, sums.data()); }),
             Catch::Contains("block (0, 0, 0), thread") && Catch::Contains("not a multiple of 16") &&
                 Catch::Contains("planted_async.cpp"));
#endif
  constexpr size_t kBytes = sizeof(ArrivalSmem);
  CHECK(run(kBytes, 0, 4) == "");
  CHECK_THAT(run(kBytes, 1, 0), Catch::Contains("cp.async: address is not a multiple of 16"));
  CHECK_THAT(run(kBytes, 0, 1), Catch::Contains("cp.async: global address is not a multiple of 16"));
  CHECK_THAT(run(kBytes, int(kBytes / 4), 0), Catch::Contains("cp.async: address outside of shared memory"));
  CHECK_THAT(run(228 << 10, 0, 0), Catch::Contains("227 KiB"));
  const auto grid = [&](Grid g, unsigned block) {
    return fault_of([&] {
      launch(two_steps, {.grid = g, .block = block, .stream = &planted_stream()},
             static_cast<Order*>(nullptr));
    });
  };
  CHECK_THAT(grid({0}, 32), Catch::Contains("impossible grid"));
  CHECK_THAT(grid({1, 65536}, 32), Catch::Contains("impossible grid"));
  CHECK_THAT(grid({1}, 1025), Catch::Contains("1025 threads"));
}
