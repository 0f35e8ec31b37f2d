// bench_model: one network at one size on the CPU, nothing else timed. Prints one JSON object, or with
// --serve runs when told to on stdin, so that bench/peers can let several runtimes take turns:
//   go         run once, print the milliseconds passed and the milliseconds of processor time used
//   dump FILE  write the last output, float32 [h, w, 3]
//   quit       print {"peak_rss_bytes": ...} and leave
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/pool.h"
#include "kernels/error.h"
#include "runtime/session.h"
#include "upscale.h"
#include "weights/open.h"

namespace ups {
namespace {

struct Options {
  std::string model, input, output;
  Extent lr{128, 128};
  int threads = 0, rounds = 5;
  bool serve = false, explain = false;
};

const char* kUsage =
    "bench_model MODEL [--size HxW] [--threads N] [--rounds R] [--input RAW.f32] [--output RAW.f32]\n"
    "            [--serve] [--explain]\n"
    "RAW.f32: float32 [h, w, channels]. Default input: a seeded random image. Default size: 128x128.\n";

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      check(i + 1 < argc, Code::usage, "bench_model: ", word, " needs a value");
      return argv[++i];
    };
    if (word == "--size") {
      check(std::sscanf(value().c_str(), "%dx%d", &o.lr.h, &o.lr.w) == 2 && o.lr.h > 0 && o.lr.w > 0,
            Code::usage, "bench_model: --size: got ", argv[i], ", expected HxW");
    } else if (word == "--threads") {
      o.threads = std::atoi(value().c_str());
    } else if (word == "--rounds") {
      o.rounds = std::max(1, std::atoi(value().c_str()));
    } else if (word == "--input") {
      o.input = value();
    } else if (word == "--output") {
      o.output = value();
    } else if (word == "--serve") {
      o.serve = true;
    } else if (word == "--explain") {
      o.explain = true;
    } else {
      check(word[0] != '-' && o.model.empty(), Code::usage, "bench_model: unknown option ", word, "\n",
            kUsage);
      o.model = word;
    }
  }
  check(!o.model.empty(), Code::usage, kUsage);
  return o;
}

double processor_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) * 1e3 + double(t.tv_nsec) / 1e6;
}

// The high-water mark of the resident set. (getrusage would include what the process was before exec.)
int64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  return 0;
}

// The rows of `t`, which may have gaps between pixels and rows, to or from one dense array [h, w, c].
void store(const std::vector<float>& dense, const Tensor& t) {
  for (int y = 0; y < t.h; ++y)
    for (int x = 0; x < t.w; ++x)
      std::memcpy(t.at(y, x), &dense[(size_t(y) * t.w + x) * t.c], size_t(t.c) * sizeof(float));
}

std::vector<float> fetch(const Tensor& t) {
  std::vector<float> dense(size_t(t.h) * t.w * t.c);
  for (int y = 0; y < t.h; ++y)
    for (int x = 0; x < t.w; ++x)
      std::memcpy(&dense[(size_t(y) * t.w + x) * t.c], t.at(y, x), size_t(t.c) * sizeof(float));
  return dense;
}

std::vector<float> read_input(const std::string& path, size_t count) {
  std::vector<float> v(count);
  if (path.empty()) {
    uint32_t state = 1;
    for (float& f : v) f = float((state = state * 1664525u + 1013904223u) >> 8) / float(1 << 24);
    return v;
  }
  std::ifstream file(path, std::ios::binary);
  check(bool(file.read(reinterpret_cast<char*>(v.data()), std::streamsize(count * sizeof(float)))), Code::io,
        "bench_model: ", path, ": expected ", count, " float32 values");
  return v;
}

void write_output(const std::string& path, const std::vector<float>& v) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(v.data()), std::streamsize(v.size() * sizeof(float)));
  check(bool(file.flush()), Code::io, "bench_model: ", path, ": cannot be written");
}

// A session at one size with its input kept aside: running may overwrite the input inside the arena.
class Bench {
 public:
  explicit Bench(const Options& o)
      : pool_(o.threads),
        session_(open_network(open_weights(o.model)), make_cpu_backend(pool_)),
        plan_(session_.prepare(o.lr)),
        input_(read_input(o.input, size_t(plan_.x.h) * plan_.x.w * plan_.x.c)) {}

  struct Time {
    double ms, processor_ms;
  };
  Time run() {
    store(input_, plan_.x);
    const double processor = processor_ms();
    const auto start = std::chrono::steady_clock::now();
    session_.run();
    const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    return {passed.count(), processor_ms() - processor};
  }
  std::vector<float> output() const { return fetch(plan_.y); }
  int threads() const { return pool_.threads(); }
  Session& session() { return session_; }
  const Plan& plan() const { return plan_; }

 private:
  Pool pool_;
  Session session_;
  const Plan& plan_;
  std::vector<float> input_;
};

void serve(Bench& bench) {
  bench.run();
  std::cout << nlohmann::json{{"version", UPS_VERSION}, {"isa", cpu::isa_name()}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "go") {
      const auto t = bench.run();
      std::cout << t.ms << ' ' << t.processor_ms << std::endl;
    } else if (line.starts_with("dump ")) {
      write_output(line.substr(5), bench.output());
      std::cout << "done" << std::endl;
    } else if (line == "quit") {
      std::cout << nlohmann::json{{"peak_rss_bytes", peak_rss_bytes()}} << std::endl;
      return;
    }
  }
}

void measure(Bench& bench, const Options& o) {
  bench.run();
  std::vector<double> ms;
  for (int i = 0; i < o.rounds; ++i) ms.push_back(bench.run().ms);
  const int64_t peak = peak_rss_bytes();
  if (!o.output.empty()) write_output(o.output, bench.output());
  // Direct convolution, as the GFLOP/s of all runtimes are counted.
  const double flop = bench.session().facts().flop_per_px * double(o.lr.pixels());
  const double best = *std::min_element(ms.begin(), ms.end());
  const nlohmann::ordered_json result = {
      {"model", bench.session().info().variant},
      {"size", {o.lr.h, o.lr.w}},
      {"threads", bench.threads()},
      {"isa", cpu::isa_name()},
      {"gflop", flop / 1e9},
      {"ms", best},
      {"gflops", flop / best / 1e6},
      {"rounds_ms", ms},
      {"peak_rss_bytes", peak},
      {"arena_bytes", bench.plan().arena_bytes},
      {"weight_bytes", bench.session().backend().weight_bytes()},
  };
  std::cout << result.dump(1) << "\n";
}

}  // namespace
}  // namespace ups

int main(int argc, char** argv) {
  try {
    const ups::Options o = ups::parse(argc, argv);
    ups::Bench bench(o);
    if (o.explain) std::cerr << bench.session().backend().explain(bench.plan());
    o.serve ? ups::serve(bench) : ups::measure(bench, o);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
