// Pool: every index once, exceptions, back-to-back jobs.
#include "kernels/cpu/pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "kernels/cpu/cores.h"
#include "tests/testing.h"

using ups::Pool;

TEST_CASE("for_each calls every index exactly once on a valid thread", "[kernels][pool]") {
  for (int threads : {1, 2, 3, 4}) {
    Pool pool(threads);
    const char* most = std::getenv("UPSCALE_MAX_THREADS");  // set where an emulator starts none
    CHECK(pool.threads() == (most ? std::min(threads, std::atoi(most)) : threads));
    for (int n : {0, 1, 2, 3, 17, 1000}) {
      std::vector<int> calls(n);
      std::atomic<bool> valid{true};
      pool.for_each(n, [&](int i, int thread) {
        calls[i]++;
        if (thread < 0 || thread >= threads) valid = false;
      });
      CHECK(valid);
      CHECK(std::count(calls.begin(), calls.end(), 1) == n);
    }
  }
}

TEST_CASE("for_each gives a thread the same indices in every call", "[kernels][pool]") {
  Pool pool(3);
  const int threads = pool.threads();
  for (int round = 0; round < 20; round++) {
    std::vector<int> thread_of(threads);
    std::atomic<int> begun{0};
    pool.for_each(threads, [&](int i, int thread) {
      thread_of[i] = thread;
      begun++;
      while (begun < threads) std::this_thread::yield();  // nobody has time to help another
    });
    for (int i = 0; i < threads; i++) CHECK(thread_of[i] == i);
  }
}

TEST_CASE("for_each sees the writes of the previous one, many jobs in a row", "[kernels][pool]") {
  Pool pool(3);
  std::vector<long> sums(8);
  for (int round = 0; round < 5000; round++)
    pool.for_each(8, [&](int i, int) { sums[i] += sums[(i + 0) % 8] >= 0 ? i : 0; });
  for (int i = 0; i < 8; i++) CHECK(sums[i] == 5000L * i);
}

TEST_CASE("for_each works after its workers went to sleep", "[kernels][pool]") {
  Pool pool(2);
  for (int round = 0; round < 3; round++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> calls{0};
    pool.for_each(64, [&](int, int) { calls++; });
    CHECK(calls == 64);
  }
}

TEST_CASE("for_each rethrows the first exception and the pool stays usable", "[kernels][pool]") {
  Pool pool(2);
  CHECK_THROWS_AS(pool.for_each(100,
                                [](int i, int) {
                                  if (i == 37) throw std::runtime_error("37");
                                }),
                  std::runtime_error);
  std::atomic<int> calls{0};
  pool.for_each(10, [&](int, int) { calls++; });
  CHECK(calls == 10);
}

TEST_CASE("for_each with more threads than cores ends when all indices are done", "[kernels][pool]") {
  Pool pool(32);
  for (int round = 0; round < 300; round++) {
    const int n = 1 + round % 70;
    std::vector<int> calls(n);
    const auto count = [&](int i, int) {
      calls[i]++;
      if (round % 10 == 9 && i == n / 2) throw std::runtime_error("half");
    };
    if (round % 10 == 9)
      CHECK_THROWS_AS(pool.for_each(n, count), std::runtime_error);
    else
      pool.for_each(n, count);
    CHECK(*std::max_element(calls.begin(), calls.end()) == 1);
    if (round % 10 != 9) CHECK(std::count(calls.begin(), calls.end(), 1) == n);
  }
}

TEST_CASE("the quota of a control group or one above it limits the cores", "[kernels][pool]") {
  const ups::testing::TemporaryFolder root;
  std::filesystem::create_directories(root / "a/b");
  const auto write = [&](const char* at, const char* text) { std::ofstream(root / at) << text; };
  const auto cores = [&](const char* group) { return ups::cgroup_cores(root.path.string(), group); };
  CHECK(cores("/a/b") == 0);
  write("a/b/cpu.max", "max 100000\n");
  CHECK(cores("/a/b") == 0);
  write("a/cpu.max", "250000 100000\n");
  CHECK(cores("/a/b") == 3);
  CHECK(cores("/a") == 3);
  CHECK(cores("/") == 0);
  write("a/b/cpu.max", "50000 100000\n");
  CHECK(cores("/a/b") == 1);
  write("cpu.max", "200000 100000\n");
  CHECK(cores("/") == 2);
  CHECK(cores("/a") == 2);
  CHECK(cores("/../outside") == 2);
  CHECK(cores("relative") == 2);
  write("cpu.max", "9223372036854775807 1\n");
  CHECK(cores("") == 1 << 20);
  write("cpu.max", "-5 0");
  CHECK(cores("") == 0);
}
